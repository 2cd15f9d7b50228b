"""A runner that checks its input before it starts, loads strictly, writes whole files and resumes exactly."""
import logging
import os
import re
import traceback
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process, master_only
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmengine.runner.checkpoint import _load_checkpoint
from torch import nn

from ..errors import ConfigError, DataError, WeightsError, closest
from ..weights import load_strict, unwrap
from ..weights.strict import check_fit
from ..writing import replacing
from .accumulation import tell_accumulation
from .labels import check_labels
from .launch import check_batches
from .learning_rate import scale_learning_rate
from .loops import ResumableEpochLoop
from .options import REGISTRIES, check_top_level, signature
from .resume import batches_done, check_resumable, newest_checkpoint
from .work_dir import lock_work_dir
from .workers import HeedParentOnly


class CheckedRunner(Runner):
    """MMEngine's runner, with what users of a long run rely on.

    - Before anything is printed, or written to the work directory, the data sets are listed, batches counted and weights compared with
      the model: bad input is the first and only thing that is said.
    - A checkpoint (``load_from``, ``resume``) fits the model in every key, or nothing is loaded. ``allow_missing`` in the config names
      components of the model that a file given as ``load_from`` may lack.
    - Checkpoints appear whole or not at all. ``resume='auto'`` takes the newest that can be read, and falls back to ``load_from`` where
      there is none; ``resume=True`` is MMEngine's: ``load_from`` if it is given, else the newest.
    - A run goes on in the middle of an epoch with the next batch, as if it had not been interrupted.
    - Two trainings never share a work directory.

    Args:
        *args, **kwargs: As MMEngine's ``Runner``.

    Raises:
        ConfigError: If the config names a type or an argument that does not exist, or data or weights do not fit.
    """

    def __init__(self, *args, **kwargs):
        self._checked = False
        self._loaded_file = None
        self._loaded_meta = {}
        self._weights_initialised = False
        self._withheld = None
        check_top_level(kwargs.get('cfg') or {})
        with _explained():
            super().__init__(*args, **kwargs)

    # What MMEngine prints and writes while it builds waits until the checks have passed.

    def build_logger(self, *args, **kwargs):
        """MMEngine's logger, whose console stays silent until :meth:`_start`."""
        logger = super().build_logger(*args, **kwargs)
        self._withheld = _Withheld([handler for handler in logger.handlers if not isinstance(handler, logging.FileHandler)])
        return logger

    def _log_env(self, env_cfg: dict) -> None:
        if self._checked:
            super()._log_env(env_cfg)
        else:
            self._env_cfg = env_cfg

    def dump_config(self) -> None:
        """Write the config to the work directory, once the run starts."""
        if self._checked:
            super().dump_config()

    def _start(self) -> None:
        self._checked = True
        self._log_env(self._env_cfg)
        self.dump_config()
        self._withheld.release()

    def _check(self, check) -> None:
        """Run the checks of a call, once; an error that is not about the input shows what was withheld."""
        if self._checked:
            return
        try:
            with _explained():
                check()
        except (ConfigError, DataError, WeightsError):
            raise
        except BaseException:
            self._withheld.release()
            raise
        self._start()

    def train(self) -> nn.Module:
        """Check, then train."""
        self._check(self._check_training)
        return super().train()

    def val(self) -> dict:
        """Check, then validate."""
        self._check(lambda: self._check_loop('_val_loop', self.build_val_loop))
        return super().val()

    def test(self) -> dict:
        """Check, then test."""
        self._check(lambda: self._check_loop('_test_loop', self.build_test_loop))
        return super().test()

    def _check_training(self) -> None:
        lock_work_dir(self.work_dir)
        self._check_loop('_train_loop', self.build_train_loop, load=False)
        check_batches(self)
        tell_accumulation(self)
        if self._val_loop is not None:
            self._check_loop('_val_loop', self.build_val_loop, load=False)
        # After the loops, as in MMEngine: both may draw random numbers.
        self._init_model_weights()
        self._weights_initialised = True
        self._find_checkpoint()

    def _check_loop(self, name: str, build, load: bool = True) -> None:
        if getattr(self, name) is not None:  # else MMEngine says what is missing
            loop = build(getattr(self, name))
            setattr(self, name, loop)
            check_labels(self._inner, loop.dataloader.dataset, getattr(getattr(loop, 'evaluator', None), 'metrics', ()))
        if load:
            self._find_checkpoint()

    def _init_model_weights(self) -> None:
        if not self._weights_initialised:
            super()._init_model_weights()

    def scale_lr(self, optim_wrapper, auto_scale_lr=None) -> None:
        """MMEngine's hook for ``--auto-scale-lr``, by the rule of :mod:`~decur.engine.learning_rate`."""
        scale_learning_rate(self, optim_wrapper, auto_scale_lr)

    # Loading.

    def _find_checkpoint(self) -> None:
        """Settle which file is loaded, and compare it with the model."""
        allowed = self.cfg.get('allow_missing') or ()
        if isinstance(allowed, str):
            raise ConfigError(f'allow_missing must be a list of components, got the string {allowed!r}: write [{allowed!r}].')
        parts = sorted({name for name, _ in self._inner.named_modules() if name} | set(self._inner.state_dict()))
        for name in allowed:
            if name not in parts:
                raise ConfigError(f'allow_missing names {name!r}, but the model has no such component{closest(name, parts)}')
        if self._has_loaded:
            return
        if self._resume == 'auto' or self._resume and self._load_from is None:
            self._resume, found = self._newest()
            self._load_from = found or self._load_from
        if self._load_from is None:
            return
        if self._loaded_file is None or self._loaded_file[0] != str(self._load_from):
            self._loaded_file = str(self._load_from), self._read(self._load_from)
        checkpoint = self._loaded_file[1]
        if self._resume:
            check_resumable(checkpoint, self._load_from, self.train_loop)
        check_fit(self._inner.state_dict(), self._state(checkpoint, self._load_from), self._load_from,
                  allow_missing=() if self._resume else allowed, cure=self._cure(bool(self._resume)))

    def _newest(self) -> tuple:
        """Whether to resume, and the newest checkpoint of the work directory that can be read: the same in all processes."""
        # A file is read in one process, and what it found goes to the others: an error too, or they would wait for ever.
        found = [None, None]
        if is_main_process():
            try:
                path, checkpoint, skipped = newest_checkpoint(self.work_dir)
                found = [path, None]
                self._loaded_file = path, checkpoint
                for text in skipped:
                    self.logger.warning(f'--resume: not taken: {text}')
            except WeightsError as error:
                found = [None, str(error)]
        broadcast_object_list(found)
        path, problem = found
        if problem:
            raise WeightsError(problem)
        if path is None:
            self.logger.warning(f'--resume: THE RUN STARTS FROM THE BEGINNING: there is no checkpoint in {self.work_dir}.')
            return False, None
        self.logger.info(f'--resume: going on from {path}, the newest checkpoint of {self.work_dir} that can be read.')
        return True, path

    @property
    def _inner(self) -> nn.Module:
        """The model without the wrappers of distributed training and of test-time augmentation."""
        model = self.model
        while hasattr(model, 'module') and isinstance(model.module, nn.Module):
            model = model.module
        return model

    @staticmethod
    def _read(filename, map_location='cpu') -> dict:
        return _load_checkpoint(str(filename), map_location=map_location, logger='current')

    @staticmethod
    def _state(checkpoint: Mapping, filename) -> dict:
        # A part of the keys may have the prefix of distributed training.
        return {re.sub(r'^module\.', '', key): value for key, value in unwrap(checkpoint, filename).items()}

    def _cure(self, resume: bool) -> str:
        if resume:
            return ('A run can only be resumed with the config that it was started with. To start another run from these weights: '
                    'load_from=FILE, or model.backbone.pretrained=FILE for the encoders alone.')
        return ('Give a checkpoint of this config, or name the components of the model that it may lack (--allow-missing COMPONENT, or '
                'allow_missing=[...] in the config). The encoders alone of a pretraining checkpoint are loaded by '
                'model.backbone.pretrained=FILE, in training.')

    def load_checkpoint(self, filename: str, map_location='cpu', strict: bool = True, revise_keys: list = ()) -> dict:
        """Load a checkpoint whose keys and shapes are those of the model.

        Args:
            filename (str): A file, an http(s) address, or one of MMEngine's ``torchvision://`` and ``open-mmlab://`` names.
            map_location (str or callable): Where its tensors go.
            strict (bool): Kept for callers of MMEngine's method; loading is always strict.
            revise_keys (list): Pairs (pattern, replacement) of regular expressions for the keys, beside the prefix ``module.``.

        Returns:
            dict: The checkpoint.

        Raises:
            WeightsError: If a key is missing, surplus, of another shape or not finite; the model is left as it was.
        """
        if self._loaded_file and self._loaded_file[0] == str(filename):
            checkpoint = self._loaded_file[1]
            self._loaded_file = None
        else:
            checkpoint = self._read(filename, map_location)
        state = self._state(checkpoint, filename)
        for pattern, replacement in revise_keys:
            state = {re.sub(pattern, replacement, key): value for key, value in state.items()}
        if 'state_dict' in checkpoint:
            checkpoint['state_dict'] = state
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        state = checkpoint.get('state_dict', state)  # a hook may have changed it
        allowed = () if self._resume else self.cfg.get('allow_missing') or ()
        loaded = load_strict(self._inner, state, filename, allow_missing=allowed, cure=self._cure(bool(self._resume)))
        self._has_loaded = True
        self._loaded_meta = checkpoint.get('meta') or {}
        self.logger.info(f'loaded all {loaded.tensors} tensors of {filename}')
        if loaded.missing:
            self.logger.warning(f'{len(loaded.missing)} tensors are not in {filename} and KEEP THEIR INITIAL VALUES, as allow_missing '
                                f'permits: {", ".join(loaded.missing)}')
        return checkpoint

    def resume(self, filename: str, resume_optimizer: bool = True, resume_param_scheduler: bool = True, map_location='default') -> None:
        """Load a checkpoint and go on where it was written, in the middle of an epoch too.

        Raises:
            WeightsError: If it does not fit, or has no state of a training.
        """
        loop = self.train_loop
        try:
            super().resume(filename, resume_optimizer, resume_param_scheduler, map_location)
        except (KeyError, ValueError) as error:
            if isinstance(error, WeightsError):
                raise
            raise WeightsError(f'{filename}: the state of its optimiser or schedulers does not fit this run ({error}). '
                               f'{self._cure(True)}') from error
        if isinstance(loop, ResumableEpochLoop):
            loop.skip_batches(batches_done(self._loaded_meta, loop)[0])

    # Training and writing.

    @staticmethod
    def build_dataloader(dataloader, *args, **kwargs):
        """MMEngine's data loader, whose workers do not end before the run when all of its processes are told to."""
        loader = Runner.build_dataloader(dataloader, *args, **kwargs)
        if loader.num_workers and not isinstance(loader.worker_init_fn, HeedParentOnly):
            loader.worker_init_fn = HeedParentOnly(loader.worker_init_fn)
        return loader

    def build_train_loop(self, loop):
        """MMEngine's loop, in the form that can go on in the middle of an epoch where it trains by epochs."""
        if isinstance(loop, dict) and (loop.get('by_epoch') or loop.get('type') in ('EpochBasedTrainLoop', EpochBasedTrainLoop)):
            loop = dict(loop, type='ResumableEpochLoop')
            loop.pop('by_epoch', None)
        return super().build_train_loop(loop)

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, *args, meta: dict | None = None, **kwargs) -> None:
        """Write a checkpoint, whole or not at all; arguments as MMEngine's method.

        ``meta.batches_done`` says how many batches of the running epoch it has seen, ``meta.batches_per_epoch`` of how many.
        """
        meta = dict(meta or {})
        loop = self.train_loop
        if isinstance(loop, ResumableEpochLoop) and 'iter' in meta and meta.get('epoch') == loop.epoch:
            meta.update(batches_done=loop.batches_done(meta['iter']), batches_per_epoch=len(loop.dataloader))
        elif isinstance(loop, ResumableEpochLoop):
            meta.update(batches_done=0, batches_per_epoch=len(loop.dataloader))
        if '://' in str(out_dir):  # a store of objects, which appear whole
            super().save_checkpoint(out_dir, filename, *args, meta=meta, **kwargs)
            return
        os.makedirs(out_dir, exist_ok=True)
        path = Path(out_dir) / filename
        with replacing(path) as temporary:
            super().save_checkpoint(out_dir, temporary.name, *args, meta=meta, **kwargs)


class _Withheld(logging.Filter):
    """Keeps the records of a logger's handlers back until they are wanted."""

    def __init__(self, handlers: list):
        super().__init__()
        self.handlers, self.records = handlers, []
        for handler in handlers:
            # First, so that no other filter has looked at a record before it is passed on.
            handler.filters.insert(0, self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a record; each handler asks once."""
        self.records.append(record)
        return False

    def release(self) -> None:
        """Pass on what was kept, and what comes later."""
        for handler in self.handlers:
            handler.removeFilter(self)
            for record in self.records:
                if record.levelno >= handler.level:
                    handler.handle(record)
        self.records, self.handlers = [], []


@contextmanager
def _explained():
    """Turn the registry's errors about unknown types and arguments into a :class:`ConfigError` that names the closest one."""
    try:
        yield
    except (KeyError, TypeError) as error:
        text = str(error.args[0]) if error.args else ''
        argument = re.search(r"got an unexpected keyword argument '(\w+)'", text)
        unknown = re.match(r'(\S+) is not in the \S+ registry', text)
        kind, given = _built(error)
        if argument and argument[1] in given:
            raise ConfigError(f'{kind.__name__} has no argument {argument[1]!r}{closest(argument[1], signature(kind)[0])}') from error
        if unknown:
            names = {name for registry in REGISTRIES for scoped in (registry, *registry.children.values()) for name in scoped.module_dict}
            raise ConfigError(f'type={unknown[1]!r} is not known{closest(unknown[1], names)}') from error
        raise


def _built(error: BaseException) -> tuple:
    """The class that the registry was building when an error was raised, and the arguments that the config gives it."""
    found = None, {}
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == 'build_from_cfg' and frame.f_locals.get('obj_cls') is not None:
            found = frame.f_locals['obj_cls'], frame.f_locals['args']
    return found
