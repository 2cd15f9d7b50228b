"""The types that a config may name, and what they take.

Models, datasets, transforms, hooks, ... are registered in MMEngine's root registries, which both the ``mmpretrain`` and the ``mmseg`` scope
search; readers have a registry of their own.
"""
import inspect
import typing
from contextlib import contextmanager
from functools import cache

from mmengine import registry
from mmengine.registry import Registry


class _OfAllScopes(Registry):
    """Types that are the same in every scope: none is searched for those of ``mmseg``, which MMEngine would do, fail and warn."""

    @contextmanager
    def switch_scope_and_registry(self, scope: str | None):
        yield self


#: Callables ``reader(source) -> ndarray (H, W, C)``; see :mod:`decur.readers.files`.
READERS = _OfAllScopes('multimodal reader', scope='mmengine')

#: Where the types of a config are registered, the usual ones first. No config names an inferencer, and looking for one imports a lot.
REGISTRIES = tuple(dict.fromkeys((registry.MODELS, registry.DATASETS, registry.TRANSFORMS, READERS, *(
    found for found in vars(registry).values() if isinstance(found, Registry) and found is not registry.INFERENCERS))))


@cache
def signature(kind) -> tuple:
    """Names of the arguments of a class or a function, whether these are all that it takes, and their annotations by name.

    Where a class passes ``**kwargs`` on, the arguments of its base classes are among the names.
    """
    if not inspect.isclass(kind):
        return _parameters(kind)
    names, hints, is_all = {}, {}, True
    for base in kind.__mro__:
        if '__init__' in vars(base):
            new, closed, annotations = _parameters(base.__init__)
            names.update(dict.fromkeys(new))
            hints = {**annotations, **hints}
            if closed:
                break
            is_all = False
    return list(names), is_all, hints


def _parameters(function) -> tuple:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of a class written in C
        return [], False, {}
    try:
        hints = typing.get_type_hints(function)
    except Exception:  # annotations may name what is imported for type checkers only
        hints = {}
    names = [p.name for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in ('self', 'runner')]
    return names, not any(p.kind == p.VAR_KEYWORD for p in found), hints
