"""Features of a whole data set, in a file, resumable."""
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import set_random_seed
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset

from ..binding import bind
from ..engine.runner import MultimodalRunner
from ..errors import ConfigError, DataError, WeightsError, first_line
from ..evaluation.probes import labelled_features
from ..modalities import check_finite, check_finite_rows
from ..progress import Progress
from ..weights import load_file, save_file
from ..weights.quiet import no_line_for_every_tensor
from ..writing import output_folder, read_json, replacing, write_bytes, write_json
from .load import LoadedEncoder


class _Images(Dataset):
    """Images of a data set's samples as the encoders take them."""

    def __init__(self, dataset, encoder: LoadedEncoder, size: Sequence[int] | None):
        # A worker process needs the transforms alone, not the encoders.
        self.dataset, self.transforms, self.size = dataset, encoder.transforms, size

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict | DataError:
        """The images of a sample, or the error that it raises: raised in a worker process, it would arrive with that process's traceback.

        Arrays, not tensors: a worker passes tensors on through files of shared memory, and if one cannot be made (a limit of file sizes, a
        small ``/dev/shm``) the main process waits for ever.
        """
        try:
            images = self.dataset[index]['images']
            return {name: self._prepare(name, images[name]) for name in self.transforms}
        except DataError as error:
            return error

    def _prepare(self, name: str, image: np.ndarray | None) -> np.ndarray | None:
        if image is None:
            return None
        x = self.transforms[name](image, radiometry=False)  # LoadModalities has applied it
        if self.size is not None and tuple(x.shape[1:]) != tuple(self.size):
            x = F.interpolate(x[None], tuple(self.size), mode='bilinear', antialias=True, align_corners=False)[0]
        return x.numpy()


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

    Parts of ``part_size`` samples are kept beside ``out`` while it runs; started again after a stop it computes what is missing or damaged
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
        DataError: If the parts beside ``out`` are of another run, a sample cannot be read or has values that are not finite, or a file
            cannot be written.
    """
    out = Path(out)
    single = out.suffix == '.safetensors'
    if out.exists() and out.is_dir() == single:
        raise DataError(f'{out} is a {"folder" if single else "file"}; X.safetensors is written as a file, any other name as a folder.')
    parts = out.with_name(f'.{out.name}.parts')
    ids = [str(dataset.get_data_info(i)['sample_id']) for i in range(len(dataset))]
    names = list(encoder.modalities)
    settings = encoder.modalities, getattr(dataset, 'modalities', None), str(getattr(dataset, 'data_root', ''))
    run = json.loads(json.dumps(dict(origin=dict(origin or {}), weights=digest(encoder, *settings), modalities=names, size=size,
                                     part_size=part_size, sample_ids=ids)))
    images = _Images(dataset, encoder, size)
    device = next(encoder.parameters()).device
    joined = {name: torch.full((len(ids), dim), torch.nan) for name, dim in encoder.feature_dims.items()}
    with kept_parts(parts, run, '.safetensors'):
        for start in range(0, len(ids), part_size):
            stop = min(start + part_size, len(ids))
            path = parts / f'{start:09d}.safetensors'
            rows = {name: values[start:stop] for name, values in joined.items()}
            if not _read_part(path, rows):
                done = 0
                for batch in _batches(Subset(images, range(start, stop)), batch_size, num_workers):
                    _encode(encoder, batch, rows, done, device, ids[start + done:])
                    done += len(batch)
                    if progress:
                        progress(start + done, len(ids))
                save_file(rows, path)
            elif progress:
                progress(stop, len(ids))
        if single:
            save_file(joined, out, metadata=dict(sample_ids=json.dumps(ids), origin=json.dumps(run['origin'])))
        else:
            output_folder(out)
            for name, values in joined.items():
                with replacing(out / f'{name}.npy') as temporary, open(temporary, 'wb') as file:
                    np.save(file, values.numpy())
            write_bytes(out / 'sample_ids.json', (json.dumps(ids) + '\n').encode())
    return {name: tuple(values.shape) for name, values in joined.items()}


def check_run(parts: Path, run: dict) -> None:
    """Note in the folder of parts what they are of, or see that it says the same."""
    manifest = parts / 'run.json'
    if manifest.is_file():
        if read_json(manifest, f'Nothing else says what the parts beside it are of. Remove {parts}.') != run:
            raise DataError(f'{parts} holds parts of another run (other data, weights, preprocessing or options). Give its command '
                            'again to finish it, remove the folder, or choose another output.')
    else:
        for leftover in parts.iterdir():  # of a run that was stopped while it removed them: nothing says whose they are
            leftover.unlink()
        write_json(manifest, run)


@contextmanager
def kept_parts(parts: Path, run: dict, suffix: str) -> Iterator:
    """A folder of parts while a result grows in it; see :func:`check_run`. After an error it stays only if there is a part in it.

    Args:
        parts (Path): The folder.
        run (dict): What the parts are of.
        suffix (str): Of the files that are parts.
    """
    output_folder(parts)
    check_run(parts, run)
    try:
        yield
    except BaseException:
        if not any(parts.glob(f'[!.]*{suffix}')):  # nothing was computed: another command may have the name
            shutil.rmtree(parts, ignore_errors=True)
        raise
    shutil.rmtree(parts)


def _read_part(path: Path, rows: Mapping) -> bool:
    """Fill the rows of a part from its file; False, and nothing filled, if there is none that is whole."""
    if not path.is_file():
        return False
    try:
        found = load_file(path)
    except WeightsError:
        return False
    if {name: values.shape for name, values in found.items()} != {name: values.shape for name, values in rows.items()}:
        return False
    for name, values in rows.items():
        values.copy_(found[name])
    return True


def _batches(images: Dataset, batch_size: int, num_workers: int) -> Iterator[list]:
    """Lists of samples as tensors, in order; an error of a sample is raised, and so is the end of a worker process."""
    try:
        for batch in DataLoader(images, batch_size, num_workers=num_workers, collate_fn=list):
            for sample in batch:
                if isinstance(sample, DataError):
                    raise sample
            yield [{name: None if x is None else torch.from_numpy(x) for name, x in sample.items()} for sample in batch]
    except RuntimeError as error:
        if 'DataLoader worker' not in str(error):
            raise
        raise DataError(f'a process that reads samples ended ({first_line(error)}); it may have run out of memory. Start again with fewer '
                        'workers: the parts that are done are kept.') from error


def digest(encoder: nn.Module, *settings) -> str:
    """SHA-256 of the weights and of settings that are not among them (bands, statistics, radiometry, readers, ...).

    A run that goes on compares it, so that no result is made of two files under one name, or with two preprocessings.
    """
    digest = hashlib.sha256(repr(settings).encode())
    for key, value in encoder.state_dict().items():
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _encode(encoder: LoadedEncoder, batch: Sequence, rows: Mapping, first: int, device, ids: Sequence) -> None:
    """Features of a batch into their rows; encoders that interact need every modality of a sample."""
    groups = [list(rows)] if len(encoder.backbone.interactions) else [[name] for name in rows]
    for group in groups:
        present = [i for i, sample in enumerate(batch) if sample[group[0]] is not None]
        if len(group) > 1:
            for sample_id, sample in zip(ids, batch):
                lacking = [name for name in group if sample[name] is None]
                if lacking:
                    raise DataError(f'sample {sample_id!r} lacks {lacking}, but the encoders interact: each needs the others.')
        if not present:
            continue
        inputs = {}
        for name in group:
            shapes = {tuple(batch[i][name].shape) for i in present}
            if len(shapes) > 1:
                raise DataError(f'images of modality {name!r} differ in size ({sorted(shapes)}): give a size, or batch_size=1.')
            inputs[name] = torch.stack([batch[i][name] for i in present]).to(device)
        check_finite(inputs, encoder.modalities, [ids[i] for i in present])
        for name, values in encoder.extract_feat(inputs).items():
            check_finite_rows(f'the features of modality {name!r}', values, [ids[i] for i in present], 'samples of a batch')
            rows[name][[first + i for i in present]] = values.float().cpu()


def labelled_sets(cfg: Config, checkpoint: str | None, seed: int, validation: bool = False) -> list:
    """Features and labels of a classifier config's training and test set, without augmentation and shuffling.

    Args:
        cfg (Config): As from :func:`~decur.engine.load_config`.
        checkpoint (str, optional): Where the encoders are taken from, as ``model.backbone.pretrained``; None: random ones.
        seed (int): Of random encoders.
        validation (bool): Also of the validation set, if the config has one. Defaults to False.

    Returns:
        list[dict]: See :func:`~decur.evaluation.probes.labelled_features`.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    set_random_seed(seed)
    if checkpoint:
        cfg.model.backbone.pretrained = checkpoint
    cfg = bind(cfg)
    model = MODELS.build(cfg.model)
    with no_line_for_every_tensor():
        model.init_weights()
    print(f'encoders: {checkpoint or f"random, seed {seed}"}', flush=True)
    model = model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()
    datasets = {'training set': dict(cfg.train_dataloader.dataset, pipeline=cfg.test_dataloader.dataset.pipeline),
                'test set': cfg.test_dataloader.dataset}
    if validation and cfg.get('val_dataloader'):
        datasets['validation set'] = cfg.val_dataloader.dataset
    sets = []
    for title, dataset in datasets.items():
        loader = MultimodalRunner.build_dataloader(dict(cfg.test_dataloader, dataset=dataset))
        with Progress(len(loader), title) as progress:
            sets.append(labelled_features(model, loader, progress.update, cfg.model.head.get('num_classes')))
    return sets
