"""How data sets lie on disk: by this an unknown folder is recognised and inspected."""
from collections.abc import Callable
from typing import NamedTuple

from decur.errors import DataError
from decur.readers import BandReader, Reader, source_name


class Part(NamedTuple):
    """One modality of what lies in a folder.

    Attributes:
        bands (tuple[str]): Names of its bands, in their order.
        ids (list[str]): All samples.
        source (Callable): From an id to the source of the sample's image.
        reader (Reader): Reads it.
        files (dict): What ``files`` of a modality's entry says to read it with the data set.
        expected (set[str], optional): The samples that it should have. Defaults to those of all parts together.
    """

    bands: tuple
    ids: list
    source: Callable
    reader: Reader
    files: dict
    expected: set | None = None

    def read(self, sample_id: str) -> dict:
        """The image of a sample, ``{band: (h, w) array}``, every band at its own size and in the type of the file.

        Raises:
            DataError: If it cannot be read, or has another number of bands.
        """
        source = self.source(sample_id)
        if isinstance(self.reader, BandReader):
            return dict(zip(self.bands, self.reader.native(source).values()))
        image = self.reader(source)
        if image.shape[2] != len(self.bands):
            raise DataError(f'{source_name(source)} has {image.shape[2]} bands, expected the {len(self.bands)} bands {self.bands}.')
        return dict(zip(self.bands, image.transpose(2, 0, 1)))


class Layout(NamedTuple):
    """A way in which a data set lies in a folder, recognised by :meth:`~decur.datasets.MultimodalDataset.recognise`.

    Attributes:
        name (str): Such as ``'ssl4eo-v1.0'``; what a store was made of has the name of that.
        title (str): For people.
        command (str): How to use it; ``{root}`` stands for the folder and ``{entries}`` for the modalities' entries.
        parts (Callable): Without arguments, to ``{name: Part}``; lists the samples.
        stored (bool): Whether it is a compact store.
        has_offset (bool): Whether the release adds 1000 to its optical values.
        same_ids (bool): Whether an id of one part is the same sample in the others, so that gaps can be told.
    """

    name: str
    title: str
    command: str
    parts: Callable
    stored: bool = False
    has_offset: bool = False
    same_ids: bool = True


def train_command(config: str, **options) -> str:
    """The command that trains with a config on the folder ``{root}``."""
    given = dict(data_root='{root}', **options)
    return f'python tools/train.py {config} --cfg-options ' + ' '.join(f'train_dataloader.dataset.{k}={v}' for k, v in given.items())
