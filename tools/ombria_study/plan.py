"""The cells of the comparison: which start of the encoders, transferred how, with which labels."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mmengine.config import Config

from decur.errors import ConfigError

#: Settings of a round; the first two are required.
_ROUND = ('name', 'arms', 'protocols', 'sensors', 'labels', 'subsets', 'options', 'variant')
#: Number of labelled chips to the list of :mod:`decur.prepare.ombria_scenes` (formatted with the subset).
SPLITS = {'8': 'scene_few8_seed{}.txt', '32': 'scene_few32_seed{}.txt', '128': 'scene_few128_seed{}.txt', 'all': 'scene_train.txt'}
#: The lists of chips that are tested.
TESTS = ('scene_test.txt', 'event2021.txt')
#: Sensors to the options of a config that leave the others out.
ALONE = {'s1-s2': {}, 's1': {'modalities.optical': None}, 's2': {'modalities.sar': None}}


@dataclass(frozen=True)
class Pretraining:
    """Encoders of one arm with one seed.

    Attributes:
        arm: its name.
        seed: of initialisation, data order and augmentation.
        options: overrides of the pretraining config, by dotted key.
    """

    arm: str
    seed: int
    options: Mapping = field(compare=False)

    protocol = 'pretraining'

    @property
    def name(self) -> str:
        """Its folder in the work directory."""
        return f'pretrain/{self.arm}/seed{self.seed}'


@dataclass(frozen=True)
class Transfer:
    """One training with labels, and its test.

    Attributes:
        arm: name of the start of the encoders.
        pretraining: where they come from; None for random ones.
        sensors: ``'s1-s2'``, ``'s1'`` or ``'s2'``.
        protocol: ``'frozen'``, ``'finetune'``, or ``'per-pixel'``, which has no network.
        labels: number of labelled chips: a key of :data:`SPLITS`.
        subset: seed of the labelled subset, of the head and of the order of the data.
        variant: what else differs, in words; empty if nothing does.
        options: further overrides of the study's transfer config.
    """

    arm: str
    pretraining: Pretraining | None
    sensors: str
    protocol: str
    labels: str
    subset: int
    variant: str = ''
    options: Mapping = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """Its folder in the work directory."""
        variant = f'_{self.variant.replace(" ", "-")}' if self.variant else ''
        return f'transfer/{self.arm}/{self.sensors}_{self.protocol}_{self.labels}{variant}/subset{self.subset}'

    @property
    def settings(self) -> dict:
        """Options of the transfer config for its sensors and its protocol, and its own."""
        return {**ALONE[self.sensors], **({'model.backbone.frozen': True} if self.protocol == 'frozen' else {}), **self.options}

    @property
    def tests(self) -> tuple:
        """The lists of chips that it is tested on."""
        return TESTS

    @property
    def split(self) -> str:
        """The list of its labelled chips."""
        return SPLITS[self.labels].format(self.subset)


def plan(study: Config, rounds: Sequence[str] | None = None, quick: bool = False, arms: Sequence[str] | None = None,
         subsets: Sequence[int] | None = None) -> list[Pretraining | Transfer]:
    """What is to run, in order: round by round, subset by subset, a pretraining before the first transfer that needs it.

    Args:
        study: ``pretraining``, ``transfer``, ``seeds``, ``arms`` and ``rounds``, see ``configs/ombria/study.py``.
        rounds, arms, subsets: those to run: names of rounds and arms, labelled subsets. Default to all.
        quick: Only the first labelled subset, of the first three rounds.

    Raises:
        ConfigError: If a round lacks a setting or has an unknown one, names an arm that does not exist, or two rounds share a cell.
    """
    names = [entry.get('name') for entry in study.rounds]
    unknown = [name for name in rounds or () if name not in names]
    if unknown:
        raise ConfigError(f'there is no round {unknown[0]!r}; the study has {names}.')
    cells: dict = {}
    for entry in study.rounds[:3] if quick else study.rounds:
        for cell in _cells(study, entry, quick):
            if cell in cells:
                raise ConfigError(f'the round {entry["name"]!r} of the study has a cell of another round, or one twice: {cell.name}.')
            cells[cell] = entry['name']
    wrong = [arm for arm in arms or () if arm not in study.arms]
    if wrong:
        raise ConfigError(f'there is no arm {wrong[0]!r}; the study has {list(study.arms)}.')
    chosen = [cell for cell, name in cells.items() if (rounds is None or name in rounds) and (arms is None or cell.arm in arms) and
              (subsets is None or cell.subset in subsets)]
    if not chosen:
        raise ConfigError(f'no transfer of the rounds {rounds or names} has these arms ({arms or "all"}) and subsets ({subsets or "all"}).')
    # A dict keeps the first place of what stands in it twice.
    return list(dict.fromkeys(run for cell in chosen for run in (cell.pretraining, cell) if run))


def _cells(study: Config, entry: Mapping, quick: bool) -> list[Transfer]:
    """The transfers of a round."""
    missing, extra = [key for key in _ROUND[:3] if key not in entry], [key for key in entry if key not in _ROUND]
    if missing or extra:
        raise ConfigError(f'a round of the study {"lacks" if missing else "has an unknown"} {(missing or extra)[0]!r}: {dict(entry)}.')
    subsets = [int(subset) for subset in entry.get('subsets', study.seeds)]
    return [_transfer(study, entry, arm, sensors, protocol, labels, subset) for subset in (subsets[:1] if quick else subsets)
            for labels in entry.get('labels', ('32', )) for sensors in entry.get('sensors', ('s1-s2', ))
            for protocol in entry['protocols'] for arm in entry['arms']]


def _transfer(study: Config, entry: Mapping, arm: str, sensors: str, protocol: str, labels: str, subset: int) -> Transfer:
    if arm not in study.arms:
        raise ConfigError(f'the round {entry["name"]!r} names the arm {arm!r}; the study has {list(study.arms)}.')
    if labels not in SPLITS:
        raise ConfigError(f'the round {entry["name"]!r} has labels={labels!r}; there are {list(SPLITS)}.')
    options = study.arms[arm]['options']
    pretraining = None
    if options is not None:
        pretraining = Pretraining(arm, study.seeds[subset % len(study.seeds)], dict(options))
    return Transfer(arm, pretraining, sensors, protocol, labels, subset, entry.get('variant', ''), dict(entry.get('options', {})))

