"""The folder of an explanation: what was asked for, and what each batch left there."""
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from decur.errors import ConfigError, check_choice
from decur.writing import output_folder, read_json, write_json

from .files import load_npz
from .gradcam import SIGNS
from .representation import LEVELS

#: What can be asked for.
ANALYSES = ('alignment', 'tsne', 'spatial', 'spectral')
#: Of the files in ``parts``: they are not mixed with those of another.
_FORMAT = 2


@dataclass(frozen=True)
class Options:
    """Settings of an explanation.

    Raises:
        ConfigError: If one has no meaning.

    Attributes:
        analyses: some of :data:`ANALYSES`.
        level: ``embedding``, or ``encoder`` for models without projector.
        modalities: those that are explained; empty for all.
        num_samples: drawn from the data set without replacement; 0 for all.
        batch_size: samples at a time; the alignment histograms are of such batches.
        seed: of the draw and of t-SNE.
        bins: of the alignment histograms.
        perplexity: of t-SNE.
        max_dims: dimensions per modality in the t-SNE; 0 for all.
        layer: see :class:`~decur.explain.BlockMeans`; ``{}`` in it stands for the modality.
        sign: see :func:`~decur.explain.grad_cam`.
        steps: of the Integrated Gradients.
        overlays: samples whose saliency is drawn.
    """

    analyses: tuple = ANALYSES
    level: str = 'embedding'
    modalities: tuple = ()
    num_samples: int = 256
    batch_size: int = 64
    seed: int = 0
    bins: int = 50
    perplexity: float = 30.0
    max_dims: int = 2000
    layer: str = ''
    sign: str = 'signed'
    steps: int = 50
    overlays: int = 6

    def __post_init__(self):
        if not self.analyses:
            raise ConfigError(f'analyses is empty; it takes some of {ANALYSES}.')
        for name in self.analyses:
            check_choice('each of analyses', name, ANALYSES)
        check_choice('level', self.level, LEVELS)
        check_choice('sign', self.sign, SIGNS)
        least = dict(num_samples=0, batch_size=4, seed=0, bins=1, max_dims=0, steps=1, overlays=0)
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ConfigError(f'{name} must be at least {value}, got {getattr(self, name)}.')
        if not self.perplexity > 0:
            raise ConfigError(f'perplexity must be above 0, got {self.perplexity}.')


class Folder:
    """``OUT/explanation.json``, the settings, and ``OUT/parts``, one file per pass and batch; a batch that has a file is not repeated.

    Args:
        path: the folder; made if need be.
        record: what all files depend on (JSON values).
        num_batches: batches of a pass.

    Raises:
        ConfigError: If it holds an explanation with another record, or a page or parts of something else.
        DataError: If its record is damaged.
        WriteError: If it cannot be written.
    """

    def __init__(self, path: Path, record: Mapping, num_batches: int):
        self.path, self.num_batches = path, num_batches
        for folder in (path, path / 'parts'):
            output_folder(folder)  # what a killed run left half-written goes
        record = json.loads(json.dumps(dict(record, format=_FORMAT)))  # tuples as lists, as they are read back
        file = path / 'explanation.json'
        if file.is_file():
            earlier = read_json(file, f'Delete {path} and run again.')
            if earlier.get('format') != _FORMAT:
                raise ConfigError(f'{path} holds an explanation that another version of this project wrote: choose another folder or '
                                  'delete it.')
            differs = [key for key in {**earlier, **record} if earlier.get(key) != record.get(key)]
            if differs:
                raise ConfigError(f'{path} holds an explanation with other settings ({", ".join(differs)}): choose another folder or '
                                  'delete it.')
        else:
            if (path / 'index.html').exists() or any((path / 'parts').iterdir()):
                raise ConfigError(f'{path} holds an index.html or parts that are of no explanation ({file.name} is missing): choose '
                                  'another folder.')
            write_json(file, record)

    def part(self, kind: str, index: int) -> Path:
        """The file of a batch."""
        return self.path / 'parts' / f'{kind}_{index:05d}.npz'

    def missing(self, kind: str) -> list[int]:
        """Batches of a pass that have no file yet."""
        return [i for i in range(self.num_batches) if not self.part(kind, i).is_file()]

    def gather(self, kind: str, prefixes: Sequence[str]) -> dict:
        """``{key: list of one array per batch}`` of the keys that start with one of the prefixes."""
        out = {}
        for i in range(self.num_batches):
            for key, value in load_npz(self.part(kind, i)).items():
                if key.split('/')[0] in prefixes:
                    out.setdefault(key, []).append(value)
        return out
