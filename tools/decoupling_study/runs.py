"""The runs of a study: an arm is a config with options, and is trained and scored once per seed."""
import copy
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, RUNNERS, init_default_scope
from mmengine.runner import set_random_seed
from resumable import digest, execute_all, read_record

from decur.binding import bind
from decur.engine import load_config, prepare
from decur.errors import ConfigError
from decur.evaluation.collect import score_model
from decur.evaluation.decoupling import split_of
from decur.writing import write_bytes

#: Version of what a run's scores hold: those of another are not read.
_SCORES = 2
#: Settings of an arm; :mod:`~decoupling_study.document` reads the last three.
_ARM = ('config', 'options', 'name', 'train', 'label', 'groups', 'labels')


@dataclass(frozen=True)
class Run:
    """One arm of a study with one seed.

    Attributes:
        arm: index of the arm in the study.
        config: path of its config, which has a ``score_dataset``.
        options: overrides of the config by dotted key.
        train: False scores the random initialisation.
        seed: of initialisation, data order and noise.
        folder: where ``scores.json``, the training log and the checkpoint go.
    """

    arm: int
    config: str
    options: Mapping
    train: bool
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """As logs and the document call it."""
        return f'seed {self.seed} of {self.folder.parent.name}'

    def load(self) -> Config:
        """The config with its options.

        Raises:
            ConfigError: If it says no data set to score.
        """
        cfg = load_config(self.config, copy.deepcopy(self.options), str(self.folder))
        if 'score_dataset' not in cfg:
            raise ConfigError(f'{self.config} has no score_dataset: see configs/decoupling/shapes_optical-radar_small-resnet_decur.py.')
        return cfg

    def fingerprint(self, cfg: Config) -> str:
        """What the scores depend on, so that a changed config is run again. Where results go does not count."""
        content = {key: value for key, value in cfg.to_dict().items() if key not in ('work_dir', 'log_level', 'launcher', 'default_hooks')}
        return digest(_SCORES, content, self.seed, self.train)

    def stored(self, cfg: Config | None = None) -> dict | None:
        """The scores in the folder, if they are of the config as it is now.

        Raises:
            DataError: If ``scores.json`` is damaged.
        """
        scores = read_record(self.folder / 'scores.json')
        return scores if scores and scores['fingerprint'] == self.fingerprint(cfg or self.load()) else None

    def execute(self) -> dict:
        """Train and score, unless that was done before.

        Returns:
            dict: the content of ``scores.json``: the tables of :func:`~decur.evaluation.collect.score_model`, ``fingerprint``, ``seed``,
            ``loss`` (mean of the last 20 steps) and ``seconds`` of processor time.
        """
        cfg = self.load()
        earlier = self.stored(cfg)
        if earlier:
            return earlier
        key, start = self.fingerprint(cfg), time.process_time()
        cfg = prepare(cfg)
        cfg.merge_from_dict({'randomness.seed': self.seed, 'log_level': 'WARNING',
                             'experiment_name': f'{self.folder.parent.name}_{self.folder.name}_{key}'})
        if self.train:
            runner = RUNNERS.build(cfg)
            model = runner.train()
            loss = float(runner.message_hub.get_scalar('train/loss').mean(window_size=20))
        else:
            init_default_scope(cfg.get('default_scope', 'mmpretrain'))
            set_random_seed(self.seed)
            model, loss = MODELS.build(bind(cfg).model), None
            model.init_weights()
        split = split_of(model.head) if self.train else None
        scores = score_model(model, DATASETS.build(bind(cfg).score_dataset), split, self.seed)
        scores = dict(fingerprint=key, seed=self.seed, loss=loss, seconds=round(time.process_time() - start, 1), **scores)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(self.folder / 'scores.json', json.dumps(scores).encode())
        return scores


def plan(study: Config, folder: Path, work_dir: Path, seeds: Sequence[int] | None = None, options: Mapping | None = None) -> list[Run]:
    """The runs of a study, all arms with the first seed before the second.

    Args:
        study: ``seeds`` and ``runs``, a list of ``dict(config, options={}, name=None, train=True, label, groups, labels={})``.
        folder: the configs are relative to it.
        work_dir: a run goes to ``work_dir/NAME/seedN``. The name of an arm defaults to that of its config.
        seeds: instead of the study's own.
        options: further overrides, of every arm.

    Raises:
        ConfigError: If the study or an arm lacks a setting or has an unknown one, a config does not exist, or two arms have one name,
            since they would write to one folder.
    """
    study = study.to_dict()
    for key in ('seeds', 'runs'):
        if not study.get(key):
            raise ConfigError(f'the study says no {key}: see configs/decoupling/study.py.')
    for arm in study['runs']:
        missing, unknown = [key for key in ('config', 'label', 'groups') if key not in arm], [key for key in arm if key not in _ARM]
        if missing or unknown:
            raise ConfigError(f'an arm of the study {"lacks" if missing else "has an unknown"} {(missing or unknown)[0]!r}: {arm}.')
        if not (folder / arm['config']).is_file():
            raise ConfigError(f'the config {folder / arm["config"]} of an arm of the study does not exist.')
    names = [arm.get('name') or Path(arm['config']).stem + ('' if arm.get('train', True) else '_random') for arm in study['runs']]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f'several arms of the study have the name {twice[0]!r}: give each its own with name=...')
    return [Run(i, str(folder / arm['config']), {**arm.get('options', {}), **(options or {})}, arm.get('train', True), seed,
                work_dir / name / f'seed{seed}')
            for seed in seeds or study['seeds'] for i, (arm, name) in enumerate(zip(study['runs'], names))]


def execute(runs: Sequence[Run], jobs: int) -> Iterator[tuple[Run, dict]]:
    """Execute runs; see :func:`resumable.execute_all`."""
    yield from execute_all(runs, Run.execute, jobs)


def read(runs: Sequence[Run]) -> list[tuple[Run, dict]]:
    """The runs whose scores are there, of the configs as they are now."""
    found = ((run, run.stored()) for run in runs)
    return [(run, scores) for run, scores in found if scores]
