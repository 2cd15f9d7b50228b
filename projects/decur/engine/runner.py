"""The runner: it binds modalities, checks its input before it starts, loads strictly, writes whole files and resumes exactly."""
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from mmengine.dist import broadcast_object_list, is_main_process, master_only
from mmengine.registry import RUNNERS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.optim import Optimizer

from ..binding import bind
from ..compat import debug_notices
from ..datasets import SharedCollate
from ..errors import ConfigError, DataError, WeightsError, closest, first_line
from ..registry import REGISTRIES, signature
from ..weights import load_strict, unwrap
from ..weights.sources import fetch, load_from_source
from ..weights.streams import check_bands
from ..weights.strict import check_fit, inner_model
from ..writing import replacing
from .accumulation import tell_accumulation
from .labels import check_labels
from .launch import check_batches, check_samples
from .learning_rate import scale_learning_rate
from .loops import ResumableEpochLoop
from .options import check_top_level
from .resume import batches_done, check_resumable, newest_checkpoint
from .work_dir import lock_work_dir
from .workers import HeedParentOnly

#: The last sentence of an error about weights that do not fit: of a run that is resumed, and of one that starts from a file.
_CURES = {
    True: 'A run can only be resumed with the config that it was started with. To start another run from these weights: load_from=FILE, or '
          'model.backbone.pretrained=FILE for the encoders alone.',
    False: 'Give a checkpoint of this config, or name the components of the model that it may lack (--allow-missing COMPONENT, or '
           'allow_missing=[...] in the config). The encoders alone of a pretraining checkpoint are loaded by '
           'model.backbone.pretrained=FILE, in training.',
}


@RUNNERS.register_module()
class MultimodalRunner(Runner):
    """MMEngine's runner for configs that say their modalities once, with what users of a long run rely on.

    - Model, data sets and hooks get the config's top-level ``modalities`` (:func:`~decur.binding.bind`). The config that is logged, written
      to the work directory and stored in checkpoints is the one that was given: read again, or taken as ``_base_``, it means what it meant.
    - Before anything is printed, or written to the work directory, the data sets are listed, some samples of each are read, batches are
      counted and weights compared with the model: bad input is the first and only thing that is said.
    - A checkpoint (``load_from``, ``resume``) fits the model in every key, or nothing is loaded. ``allow_missing`` in the config names
      components of the model that a file given as ``load_from`` may lack.
    - Checkpoints appear whole or not at all. ``resume='auto'`` takes the newest that can be read, and falls back to ``load_from`` where
      there is none; ``resume=True`` is MMEngine's: ``load_from`` if it is given, else the newest.
    - A run goes on in the middle of an epoch with the next batch, as if it had not been interrupted.
    - Two trainings never share a work directory.

    ``runner_type = 'MultimodalRunner'`` in ``configs/_base_/default_runtime.py`` chooses it, so that the command lines of MMPretrain and
    MMSegmentation build it too.

    Args:
        cfg (Config): The whole config, as :meth:`from_cfg` hands it over.
        **parts: The other arguments of MMEngine's ``Runner``, all by name.

    Raises:
        ConfigError: If the modalities are wrong, or the config names a type or an argument that does not exist.
    """

    def __init__(self, *, cfg=None, **parts):
        self._checked = False
        self._loaded_file = None
        self._loaded_meta = {}
        self._weights_initialised = False
        self._withheld = None
        check_top_level(cfg or {})
        bound = bind(dict(parts, modalities=(cfg or {}).get('modalities')))
        del bound['modalities']
        with _explained():
            super().__init__(cfg=cfg, **bound)

    # What MMEngine prints and writes while it builds waits until the checks have passed.

    def build_logger(self, *args, **kwargs):
        """MMEngine's logger, whose console stays silent until :meth:`_start`."""
        logger = super().build_logger(*args, **kwargs)
        logger.filters = [debug_notices.is_wanted]  # a run in the same process may have the same logger
        for handler in logger.handlers:
            handler.handleError = partial(_on_log_error, logger, handler)
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
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        self._tell_frozen()
        tell_accumulation(self)
        if self._val_loop is not None:
            self._check_loop('_val_loop', self.build_val_loop, load=False)
        # After the loops, as in MMEngine: both may draw random numbers.
        self._init_model_weights()
        self._weights_initialised = True
        self._find_checkpoint()

    def _tell_frozen(self) -> None:
        """Say in one line what is not trained."""
        tensors = list(inner_model(self.model).named_parameters())
        frozen = [name for name, parameter in tensors if not parameter.requires_grad]
        if frozen:
            self.logger.info(f'{len(frozen)} of {len(tensors)} tensors of parameters are frozen: {frozen[0]} to {frozen[-1]}')

    def _check_loop(self, name: str, build, load: bool = True) -> None:
        if getattr(self, name) is not None:  # else MMEngine says what is missing
            loop = build(getattr(self, name))
            setattr(self, name, loop)
            check_labels(inner_model(self.model), loop.dataloader.dataset, getattr(getattr(loop, 'evaluator', None), 'metrics', ()))
            if is_main_process():
                check_samples(loop.dataloader.dataset)
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
        parts = sorted({name for name, _ in inner_model(self.model).named_modules() if name} | set(inner_model(self.model).state_dict()))
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
            self._loaded_file = str(self._load_from), load_from_source(self._load_from, 'cpu')
        checkpoint = self._loaded_file[1]
        if self._resume:
            check_resumable(checkpoint, self._load_from, self.train_loop)
        check_fit(inner_model(self.model).state_dict(), unwrap(checkpoint, self._load_from), self._load_from,
                  allow_missing=() if self._resume else allowed, cure=_CURES[bool(self._resume)])
        check_bands(inner_model(self.model), checkpoint, fetch(self._load_from), self._load_from)

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

    def load_checkpoint(self, filename: str, map_location='cpu', strict: bool = True) -> dict:
        """Load a checkpoint whose keys and shapes are those of the model.

        Args:
            filename (str): A file, or another source of :func:`~decur.weights.sources.fetch`.
            map_location (str or callable): Where its tensors go.
            strict (bool): Kept for callers of MMEngine's method; loading is always strict.

        Returns:
            dict: The checkpoint.

        Raises:
            WeightsError: If a key is missing, surplus, of another shape or not finite, or the bands of a modality are in another order;
                the model is left as it was.
        """
        if self._loaded_file and self._loaded_file[0] == str(filename):
            checkpoint = self._loaded_file[1]
            self._loaded_file = None
        else:
            checkpoint = load_from_source(filename, map_location)
        check_bands(inner_model(self.model), checkpoint, fetch(filename), filename)
        state = unwrap(checkpoint, filename)
        if 'state_dict' in checkpoint:
            checkpoint['state_dict'] = state
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        state = checkpoint.get('state_dict', state)  # a hook may have changed it
        allowed = () if self._resume else self.cfg.get('allow_missing') or ()
        missing = load_strict(inner_model(self.model), state, filename, allow_missing=allowed, cure=_CURES[bool(self._resume)])
        self._has_loaded = True
        self._loaded_meta = checkpoint.get('meta') or {}
        self.logger.info(f'loaded all {len(state)} tensors of {filename}')
        if missing:
            self.logger.warning(f'{len(missing)} tensors are not in {filename} and KEEP THEIR INITIAL VALUES, as allow_missing '
                                f'permits: {", ".join(missing)}')
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
                               f'{_CURES[True]}') from error
        if isinstance(loop, ResumableEpochLoop):
            loop.skip_batches(batches_done(self._loaded_meta, loop)[0])

    # Training and writing.

    @staticmethod
    def build_dataloader(dataloader, *args, **kwargs):
        """MMEngine's data loader, whose workers do not end before the run when all of its processes are told to, which does not wait
        for a batch that a worker cannot send, and pins memory only where there is a device that gains from it.
        """
        if isinstance(dataloader, Mapping) and dataloader.get('pin_memory') and not torch.accelerator.is_available():
            dataloader = dict(dataloader, pin_memory=False)
        for name, least in (('batch_size', 1), ('num_workers', 0)) if isinstance(dataloader, Mapping) else ():
            value = dataloader.get(name, least)
            if not isinstance(value, int) or value < least:
                raise ConfigError(f'{name} of a data loader must be a whole number of at least {least}, got {value!r}.')
        if isinstance(dataloader, Mapping) and not dataloader.get('num_workers'):
            # torch refuses what is said of workers where there are none: num_workers=0 alone is enough.
            dataloader = {key: value for key, value in dataloader.items() if key not in ('persistent_workers', 'prefetch_factor')}
        loader = Runner.build_dataloader(dataloader, *args, **kwargs)
        if loader.num_workers and not isinstance(loader.worker_init_fn, HeedParentOnly):
            loader.worker_init_fn = HeedParentOnly(loader.worker_init_fn)
            loader.collate_fn = SharedCollate(loader.collate_fn, loader.prefetch_factor)
        return loader

    def build_train_loop(self, loop):
        """MMEngine's loop, in the form that can go on in the middle of an epoch where it trains by epochs."""
        if isinstance(loop, dict) and (loop.get('by_epoch') or loop.get('type') in ('EpochBasedTrainLoop', EpochBasedTrainLoop)):
            loop = dict(loop, type='ResumableEpochLoop')
            loop.pop('by_epoch', None)
        return super().build_train_loop(loop)

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, *args, meta: dict | None = None, **kwargs) -> None:
        """Write a checkpoint, whole or not at all, after a power cut too; arguments as MMEngine's method.

        ``meta.batches_done`` says how many batches of the running epoch it has seen, ``meta.batches_per_epoch`` of how many.
        """
        meta, loop = dict(meta or {}), self.train_loop
        if isinstance(loop, ResumableEpochLoop):
            inside = 'iter' in meta and meta.get('epoch') == loop.epoch
            meta.update(batches_done=loop.batches_done(meta['iter']) if inside else 0, batches_per_epoch=len(loop.dataloader))
        if '://' in str(out_dir):  # a store of objects, which appear whole
            super().save_checkpoint(out_dir, filename, *args, meta=meta, **kwargs)
            return
        os.makedirs(out_dir, exist_ok=True)
        path = Path(out_dir) / filename
        with replacing(path, durable=True) as temporary:
            super().save_checkpoint(out_dir, temporary.name, *args, meta=meta, **kwargs)


def _on_log_error(logger: logging.Logger, handler: logging.Handler, record: logging.LogRecord) -> None:
    """What to do where a record could not be written, in place of ``logging``'s traceback for two cases.

    A log file on a full disk ends with one line, and the run goes on. When a data worker is killed, PyTorch raises a
    RuntimeError in whatever the main process is doing, which may be logging: that error ends the run as it would elsewhere.
    A console that somebody closed, and all else, is left to ``logging``, which never stops a program.
    """
    error = sys.exc_info()[1]
    if isinstance(error, RuntimeError):
        raise error
    if not isinstance(error, OSError) or not isinstance(handler, logging.FileHandler):
        return logging.Handler.handleError(handler, record)
    logger.removeHandler(handler)
    print(f'warning: {handler.baseFilename}: {error.strerror or error}, nothing more is written to this log.', file=sys.stderr, flush=True)


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
    """Turn the registry's errors about unknown types and arguments into a :class:`ConfigError` that names the closest one, and those of an
    optimizer about its settings.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError | DataError | WeightsError):
            raise
        text = str(error.args[0]) if error.args else ''
        argument = re.search(r"got an unexpected keyword argument '(\w+)'", text)
        unknown = re.match(r'(\S+) is not in the \S+ registry', text)
        kind, given = _built(error)
        if argument and argument[1] in given:
            raise ConfigError(f'{kind.__name__} has no argument {argument[1]!r}{closest(argument[1], signature(kind)[0])}') from error
        if unknown:
            names = {name for registry in REGISTRIES for scoped in (registry, *registry.children.values()) for name in scoped.module_dict}
            raise ConfigError(f'type={unknown[1]!r} is not known{closest(unknown[1], names)}') from error
        if isinstance(kind, type) and issubclass(kind, Optimizer):
            raise ConfigError(f'the optimizer {kind.__name__} does not take the settings of optim_wrapper.optimizer: {first_line(error)}'
                              ) from error
        raise


def _built(error: BaseException) -> tuple:
    """The class that the registry was building when an error was raised, and the arguments that the config gives it."""
    found = None, {}
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == 'build_from_cfg' and frame.f_locals.get('obj_cls') is not None:
            found = frame.f_locals['obj_cls'], frame.f_locals['args']
    return found
