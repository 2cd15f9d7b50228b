"""Features of a whole data set, in a file, resumable."""
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset

from ..binding import bind
from ..errors import ConfigError, DataError
from ..weights import load_file, save_file
from ..writing import replacing, write_bytes
from .load import LoadedEncoder


class _Images(Dataset):
    """Images of a data set's samples as the encoders take them."""

    def __init__(self, dataset, encoder: LoadedEncoder, size: Sequence[int] | None):
        # A worker process needs the transforms alone, not the encoders.
        self.dataset, self.transforms, self.size = dataset, encoder.transforms, size

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        images = self.dataset[index]['images']
        out = {}
        for name, transform in self.transforms.items():
            if images.get(name) is None:
                out[name] = None
                continue
            x = transform(images[name], radiometry=False)  # LoadModalities has applied it
            if self.size is not None and tuple(x.shape[1:]) != tuple(self.size):
                x = F.interpolate(x[None], tuple(self.size), mode='bilinear', antialias=True, align_corners=False)[0]
            out[name] = x
        return out


def build_image_dataset(cfg: Config, split: str = 'train'):
    """The data set of a config's ``<split>_dataloader``, giving whole images and nothing augmented.

    Raises:
        ConfigError: If the config has no such data loader.
    """
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    loader = bind(cfg).get(f'{split}_dataloader')
    if not loader:
        have = [key[:-len('_dataloader')] for key in cfg if key.endswith('_dataloader') and cfg[key]]
        raise ConfigError(f'{cfg.filename or "the config"} has no {split}_dataloader; it has {have}.')
    return DATASETS.build(dict(loader['dataset'], pipeline=[dict(type='LoadModalities')]))


@torch.inference_mode()
def extract_features(encoder: LoadedEncoder, dataset, out: str | Path, size: Sequence[int] | None = (224, 224), batch_size: int = 32,
                     num_workers: int = 0, part_size: int = 1024, progress: Callable | None = None, origin: Mapping | None = None) -> dict:
    """Write the features of every sample of a data set.

    Parts of ``part_size`` samples are kept beside ``out`` while it runs; started again after a stop it goes on behind the last whole part
    and ends with the same file.

    Args:
        encoder (LoadedEncoder): From :func:`decur.load`.
        dataset (MultimodalDataset): From :func:`build_image_dataset`.
        out (str | Path): ``X.safetensors``: one file with ``{modality: (N, F)}`` float32 and the sample ids as JSON in its head under
            ``sample_ids``. Otherwise a folder with ``<modality>.npy`` and ``sample_ids.json``. Rows of absent modalities are NaN.
        size (Sequence[int], optional): Height and width that images are resized to (bilinear, antialiased); None leaves them, with
            ``batch_size=1`` where they differ. Defaults to (224, 224).
        batch_size (int): Images at a time.
        num_workers (int): Processes that read.
        part_size (int): Samples in a part.
        progress (Callable, optional): Called with (samples done, all samples).
        origin (dict, optional): What the features are of (checkpoint, config): must be the same when a run goes on.

    Returns:
        dict[str, tuple]: Shape of each modality's features.

    Raises:
        DataError: If the parts beside ``out`` are of another run, or a sample cannot be read.
    """
    out = Path(out)
    parts = out.with_name(f'.{out.name}.parts')
    ids = [str(dataset.get_data_info(i)['sample_id']) for i in range(len(dataset))]
    names = list(encoder.modalities)
    run = json.loads(json.dumps(dict(origin=dict(origin or {}), weights=_digest(encoder), modalities=names, size=size, part_size=part_size,
                                     sample_ids=ids)))
    manifest = parts / 'run.json'
    if manifest.is_file():
        if json.loads(manifest.read_text()) != run:
            raise DataError(f'{parts} holds parts of another run (other samples, encoder or options). Remove it, or choose another output.')
    else:
        shutil.rmtree(parts, ignore_errors=True)  # of a run that was stopped while it removed them: nothing says whose they are
        parts.mkdir(parents=True)
        write_bytes(manifest, json.dumps(run).encode())
    images = _Images(dataset, encoder, size)
    device = next(encoder.parameters()).device
    starts = range(0, len(ids), part_size)
    for start in starts:
        stop = min(start + part_size, len(ids))
        path = parts / f'{start:09d}.safetensors'
        if not path.is_file():
            rows = {name: torch.full((stop - start, dim), torch.nan) for name, dim in encoder.feature_dims.items()}
            loader = DataLoader(Subset(images, range(start, stop)), batch_size, num_workers=num_workers, collate_fn=list)
            done = 0
            for batch in loader:
                _encode(encoder, batch, rows, done, device, ids[start + done:])
                done += len(batch)
                if progress:
                    progress(start + done, len(ids))
            save_file(rows, path)
        elif progress:
            progress(stop, len(ids))
    loaded = [load_file(parts / f'{start:09d}.safetensors') for start in starts]
    joined = {name: torch.cat([part[name] for part in loaded]) for name in names}
    if out.suffix == '.safetensors':
        save_file(joined, out, metadata=dict(sample_ids=json.dumps(ids), origin=json.dumps(run['origin'])))
    else:
        out.mkdir(parents=True, exist_ok=True)
        for name, values in joined.items():
            with replacing(out / f'{name}.npy') as temporary, open(temporary, 'wb') as file:
                np.save(file, values.numpy())
        write_bytes(out / 'sample_ids.json', (json.dumps(ids) + '\n').encode())
    shutil.rmtree(parts)
    return {name: tuple(values.shape) for name, values in joined.items()}


def _digest(encoder: LoadedEncoder) -> str:
    """SHA-256 of the weights, so that a run does not go on with another file under the same name."""
    digest = hashlib.sha256()
    for key, value in encoder.state_dict().items():
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _encode(encoder: LoadedEncoder, batch: Sequence, rows: Mapping, first: int, device, ids: Sequence) -> None:
    """Features of a batch into their rows; encoders that interact need every modality of a sample."""
    if len(encoder.backbone.interactions):
        for sample_id, sample in zip(ids, batch):
            lacking = [name for name, x in sample.items() if x is None]
            if lacking:
                raise DataError(f'sample {sample_id!r} lacks {lacking}, but the encoders interact: each needs the others.')
        features = encoder.extract_feat({name: torch.stack([sample[name] for sample in batch]).to(device) for name in rows})
        for name, values in features.items():
            rows[name][first:first + len(batch)] = values.float().cpu()
        return
    for name in rows:
        present = [i for i, sample in enumerate(batch) if sample[name] is not None]
        if present:
            shapes = {tuple(batch[i][name].shape) for i in present}
            if len(shapes) > 1:
                raise DataError(f'images of modality {name!r} differ in size ({sorted(shapes)}): give a size, or batch_size=1.')
            values = encoder.extract_feat({name: torch.stack([batch[i][name] for i in present]).to(device)})[name]
            rows[name][[first + i for i in present]] = values.float().cpu()
