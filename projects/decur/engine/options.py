"""Overrides of a config from a command line: ``KEY=VALUE`` texts become values of the type that the config has there.

MMEngine's ``DictAction`` guesses the type from the text: it takes the spaces out of paths, cuts them at commas and turns a folder called
``2024`` into a number. Here the value that the config has decides, then the annotation of the argument in the class that takes it, and only
where neither is known the text itself. A key that nothing reads is an error that names the closest one that is read.
"""
import ast
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from ..errors import ConfigError, closest
from ..modalities import ENTRY_KEYS
from ..registry import REGISTRIES, signature

#: Keys at the top of a config that the runner's signature does not have.
TOP_LEVEL = frozenset({
    'activation_checkpointing', 'allow_missing', 'classes', 'compile', 'custom_imports', 'efficient_conv_bn_eval', 'find_unused_parameters',
    'modalities', 'model_wrapper_cfg', 'palette', 'runner_type', 'score_dataset', 'sync_bn', 'tta_model', 'tta_pipeline'
})
#: Names of variables in OpenMMLab's configs that resemble a key.
_VARIABLES = ('train_pipeline', 'val_pipeline', 'test_pipeline')
#: Keys that may stand in any part: MMEngine reads them before the part is built.
_ANYWHERE = ('type', '_delete_', '_scope_', 'priority', 'init_cfg')
_MISSING = object()


#: How a group of settings begins.
_GROUPS = ('{', 'dict(')


class _DictCalls(ast.NodeTransformer):
    """``dict(a=1)``, as configs write it, to ``{'a': 1}``; any other call is left for ``literal_eval`` to refuse."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """One call, and those within it."""
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args and all(word.arg for word in node.keywords):
            return ast.Dict([ast.Constant(word.arg) for word in node.keywords], [word.value for word in node.keywords])
        return node


class OptionText(str):
    """A value as it was typed on a command line, whose type is not settled yet."""


def apply_options(cfg: Config, options: Mapping) -> Config:
    """Merge overrides into a config, in place.

    Args:
        cfg (Config): A whole config.
        options (dict): Values by dotted key (``'train_dataloader.batch_size'``, ``'param_scheduler.0.T_max'``). Those of
            :class:`OptionText` are converted; others are taken as they are.

    Returns:
        Config: ``cfg``.

    Raises:
        ConfigError: If a key is one that nothing reads, or a text cannot be a value of the type that is expected there.
    """
    for key, value in options.items():
        old, hint = _locate(cfg, key, value)
        cfg.merge_from_dict({key: convert(str(value), old, hint, key) if isinstance(value, OptionText) else value})
    return cfg


def check_top_level(cfg: Mapping) -> None:
    """Raise :class:`ConfigError` if a key at the top of a config is most likely a misspelt one: nothing would read it.

    A config file may define variables of any name for its own use; one that resembles a key is taken for a mistake.
    """
    known = _arguments(cfg, [], '')[0]
    for key in cfg:
        if key not in known and key not in _VARIABLES and get_close_matches(key, known, n=1, cutoff=0.85):
            raise ConfigError(f'{getattr(cfg, "filename", None) or "the config"}: nothing reads its top-level {key!r}{closest(key, known)}')


def chosen(cfg: Config, options: Mapping) -> dict:
    """The values that a config has at the keys of ``options``, after :func:`apply_options`."""
    values = {}
    for key in options:
        node = cfg
        for part in key.split('.'):
            node = node[int(part)] if isinstance(node, Sequence) and not isinstance(node, str) else node[part]
        values[key] = node
    return values


def _locate(cfg: Config, key: str, value) -> tuple:
    """The value at a key (``_MISSING`` if there is none) and the annotation of its argument (None if it is not known), the key checked."""
    node, parts, scope = cfg, key.split('.'), cfg.get('default_scope') or 'mmengine'
    what = f'option {key}={value}'
    for i, part in enumerate(parts):
        where = '.'.join(parts[:i])
        if isinstance(node, Mapping | Config):
            names, is_all, hints = _arguments(node, parts[:i], scope)
            if i == 0 and part in node and part not in names:
                raise ConfigError(f'{what}: {part!r} is a variable of the config file: the settings that were made from it would stay as '
                                  'they are. Override these settings instead.')
            if part not in node:
                _check_new(part, node, names, is_all, where, what)
            node, hint = node.get(part, _MISSING), hints.get(part)
        elif isinstance(node, list | tuple):
            if not part.isdecimal() or int(part) >= len(node):
                raise ConfigError(f'{what}: {where} is a list of {len(node)}; give a place from 0 to {len(node) - 1} instead of {part!r}.')
            if isinstance(node, tuple):
                raise ConfigError(f'{what}: {where} is a tuple, which cannot be changed in one place; give it whole.')
            node, hint = node[int(part)], None
        else:  # nothing there, or a value that becomes a group: model.backbone.pretrained.rgb=FILE where it was one file for all
            return _MISSING, None
    return node, hint


def _check_new(part: str, node: Mapping, names: Sequence, is_all: bool, where: str, what: str) -> None:
    """Raise :class:`ConfigError` if a key that the config does not have is most likely a misspelt one."""
    if part in names or part in _ANYWHERE:
        return
    known = [*dict.fromkeys([*node.keys(), *names])]
    if is_all or get_close_matches(part, known, n=1, cutoff=0.8):
        raise ConfigError(f'{what}: {f"{where} has no {part!r}" if where else f"a config has no {part!r}"}{closest(part, known)}')


def _arguments(node: Mapping, parts: Sequence[str], scope: str) -> tuple:
    """Names that a part of a config may have, whether these are all, and the annotations by name."""
    if not parts:
        names, _, hints = signature(Runner)
        return [*names, *TOP_LEVEL], True, hints
    kind = node.get('type')
    if kind is not None:
        found = _class(kind, scope)
        return signature(found) if found is not None else ([], False, {})
    if 'channels' in node or len(parts) > 1 and parts[-2] == 'modalities':
        return sorted(ENTRY_KEYS), True, {}
    if parts[-1].endswith('_dataloader'):
        names, _, hints = signature(DataLoader)
        return [*names, 'num_batch_per_epoch'], True, hints
    if parts == ['train_cfg']:
        loops = [signature(loop) for loop in (EpochBasedTrainLoop, IterBasedTrainLoop)]
        return [name for names, _, _ in loops for name in names] + ['by_epoch'], True, {**loops[0][2], **loops[1][2]}
    if parts == ['randomness']:
        return signature(Runner.set_randomness)[0], True, {}
    return [], False, {}


def _class(kind, scope: str):
    """What a ``type`` names in any of the registries, or None."""
    if not isinstance(kind, str):
        return kind if inspect.isclass(kind) or inspect.isfunction(kind) else None
    for registry in REGISTRIES:
        try:  # not by switch_scope_and_registry, which warns where a scope has no registry of a kind
            found = registry.children.get(scope, registry).get(kind)
        except (KeyError, ImportError):
            found = None
        if found is not None:
            return found
    return None


def _accepted(hint) -> set:
    """The kinds of values that an annotation accepts: of str, int, float, bool, None, list, dict; empty if it does not say."""
    if hint is None:
        return set()
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [_accepted(part) for part in typing.get_args(hint)]
        return set() if any(not kind for kind in kinds) else set().union(*kinds)
    kind = typing.get_origin(hint) or hint
    if kind is type(None):
        return {None}
    if kind in (str, int, float, bool):
        return {kind}
    if inspect.isclass(kind) and issubclass(kind, Mapping):
        return {dict}
    if inspect.isclass(kind) and issubclass(kind, Sequence):
        return {list}
    return set()


def convert(text: str, old, hint=None, key: str = 'value'):
    """The value that a text stands for.

    Args:
        text (str): As it was typed. Quotation marks around the whole are taken off.
        old: The value that the config has there; ``_MISSING`` or None tells nothing.
        hint: The annotation of the argument, if it is known.
        key (str): Named in errors.

    Returns:
        A string where the config has a string (whatever the text looks like), a list where it has a list, and so on. ``None`` and
        brackets mean None and a list in place of a string only where the annotation says that these are accepted.

    Raises:
        ConfigError: If the text cannot be such a value.
    """
    what = f'option {key}={text}'
    accepted = _accepted(hint)
    if isinstance(old, str) or old in (None, _MISSING) and str in accepted and not accepted & {int, float, bool}:
        if text == 'None' and None in accepted:
            return None
        if text.startswith(_GROUPS) and dict in accepted or text[:1] in ('[', '(') and list in accepted:
            return _literal(text, what)
        return _unquoted(text)
    if isinstance(old, Mapping):
        value = _literal(text, what) if text.startswith(_GROUPS) else None if text == 'None' else text
        if value is None or isinstance(value, Mapping):
            return value
        if str in accepted:
            return _unquoted(text)
        raise ConfigError(f'{what}: there is a group of settings there ({", ".join(map(str, old))}). Override one of them, for example '
                          f'{key}.{next(iter(old), "name")}=VALUE, or give None.')
    if isinstance(old, list | tuple):
        return _list(text, old, accepted, key, what)
    value = _literal(text, what)
    if isinstance(old, bool):
        if isinstance(value, str) and str not in accepted:
            raise ConfigError(f'{what}: expected True or False.')
    elif isinstance(old, int | float):
        if isinstance(value, str) and str not in accepted:
            raise ConfigError(f'{what}: expected a number, as the config has there ({old}).')
        if isinstance(old, int) and isinstance(value, float) and value.is_integer():
            return int(value)  # 1e5 iterations
    return value


def _list(text: str, old: Sequence, accepted: set, key: str, what: str):
    """A list (or a tuple) in place of one."""
    if text == 'None':
        return None
    if old and all(isinstance(item, Mapping) for item in old):
        if text not in ('[]', '()') and text[:1] not in ('[', '('):
            raise ConfigError(f'{what}: there is a list of groups of settings there. Override one of them, for example '
                              f'{key}.0.{next(iter(old[0]), "name")}=VALUE.')
        return _literal(text, what)
    strings = bool(old) and all(isinstance(item, str) for item in old)
    bracketed = text[:1] in ('[', '(')
    if bracketed and (text[0], text[-1]) not in (('[', ']'), ('(', ')')):
        raise ConfigError(f'{what}: brackets that do not match.')
    items = _split(text[1:-1] if bracketed else text, what)
    values = [_unquoted(item) if strings else _literal(item, what) for item in items]
    words = [value for value in values if isinstance(value, str)]
    if words and old and all(isinstance(item, int | float) for item in old):
        raise ConfigError(f'{what}: expected numbers, as the config has there ({list(old)}), got {words[0]!r}.')
    if not bracketed and len(values) == 1 and not strings and accepted & {int, float}:
        return values[0]  # one size for height and width
    return tuple(values) if text[:1] == '(' or not bracketed and isinstance(old, tuple) else values


def _literal(text: str, what: str):
    """The value of a text of which only its form is known: a number, True, False, None, a list, a dict, else a string."""
    stripped = text.strip()
    if stripped.lower() in ('true', 'false'):
        return stripped.lower() == 'true'
    if stripped == 'None':
        return None
    for kind in (int, float):
        try:
            return kind(stripped)
        except ValueError:
            pass
    if stripped.startswith(_GROUPS):
        try:
            return ast.literal_eval(_DictCalls().visit(ast.parse(stripped, mode='eval')))
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            raise ConfigError(f"{what}: not a dict in Python's notation ({error}); for example dict(type='ConcatFusion').") from None
    if (stripped[:1], stripped[-1:]) in (('[', ']'), ('(', ')')):
        values = [_literal(item, what) for item in _split(stripped[1:-1], what)]
        return tuple(values) if stripped[0] == '(' else values
    parts = _split(stripped, what, strict=False) if ',' in stripped and stripped[0] not in '\'"' else []
    if len(parts) > 1:  # what has its commas in brackets is one part, the text itself
        values = [_literal(item, what) for item in parts]
        if not any(isinstance(value, str) for value in values):
            return values
    return _unquoted(text)


def _split(text: str, what: str, strict: bool = True) -> list:
    """The parts between commas that are in no brackets and no quotation marks."""
    parts, depth, quote, start = [], 0, '', 0
    for i, character in enumerate(text):
        if quote:
            quote = '' if character == quote else quote
        elif character in '\'"':
            quote = character
        elif character in '([{':
            depth += 1
        elif character in ')]}':
            depth -= 1
        elif character == ',' and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
        if depth < 0:
            break
    if strict and (depth or quote):
        raise ConfigError(f'{what}: brackets or quotation marks that do not match.')
    rest = text[start:].strip()
    return parts + ([rest] if rest else [])


def _unquoted(text: str) -> str:
    """A text without the pair of quotation marks around it, if there is one."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in '\'"' else text
