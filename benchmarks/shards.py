"""Reading tar shards (SSL4EO-S12 v1.1, TerraMesh): samples per second at one worker, time to the first batch, memory of a worker.

The published loader is measured beside it, in the form in which its authors use it: webdataset over the tar files of all products in step,
each member opened as a zip file system with fsspec and read with zarr, all dates of it, batches by PyTorch's ``default_collate`` in the
worker. Here a member's bytes are read at their offset and decoded by decur.readers, and batches go through decur.datasets.batch_memory.
Both in one DataLoader worker, in turns; the process that takes the batches reads a value of every page of them, as a training would.

A rate is given by the wall clock from the first batch to the last, and by the processor time (user and system) of the worker and of the
process together, from start to end, which is what remains of it where others use the cores.

- `all dates`: the same content as the published loader, all dates of both products;
- `two views`: what pretraining reads, one date for each of two views;
- `streamed`: the same from an address (a server on this machine), with an empty cache and an index at the address;
- `reading alone`: in this process, without the way from a worker to the process;
- `first batch`: from nothing (no index) and from an index, over many shards of small members;
- `memory`: of the worker, its own (private) and resident, MiB.

    python benchmarks/shards.py [--samples 384] [--size 264] [--rounds 3] [--shards 477] [--out FILE]
"""
import argparse
import io
import json
import os
import re
import resource
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, default_collate

from decur.datasets import ShardDataset, SharedCollate, multimodal_collate
from decur.engine import ShardSampler
from decur.readers.shards import read_date
from decur.sensors import S1_BANDS, S2C_BANDS
from decur_worlds.shard_layouts import write_shard, zarr_zip

PRODUCTS = dict(S1GRD=S1_BANDS, S2L1C=S2C_BANDS)
#: Members that differ; the others repeat their content under another key.
DIFFERENT = 8
#: Bytes of a page of memory.
PAGE = 4096
#: Where :func:`served` serves.
SERVER: dict = {}


def make_shards(folder: Path, shards: int, per_shard: int, size: int, dates: int = 4) -> None:
    """Shards of two products, whose values are smooth with sensor noise, so that they compress as images do."""
    rng = np.random.default_rng(0)
    for product, bands in PRODUCTS.items():
        contents = []
        for _ in range(min(DIFFERENT, shards * per_shard)):
            image = np.cumsum(np.cumsum(rng.normal(0, 1, (dates, len(bands), size, size)), axis=2), axis=3) / size
            image = 700 + 400 * image + rng.normal(0, 18, image.shape)
            image = (image / 100 - 30).astype(np.float16) if product == 'S1GRD' else np.clip(image, 1, 10000).astype(np.int16)
            contents.append(zarr_zip(image, bands, [None] * dates, 'sample', (0, 0)))
        for shard in range(shards):
            keys = range(shard * per_shard, (shard + 1) * per_shard)
            write_shard(folder / 'train' / product / f'ssl4eos12_shard_{shard + 1:06d}.tar',
                        [(f'ssl4eos12_train_{key:07d}', contents[key % len(contents)]) for key in keys])


def entries(size: int) -> dict:
    """Modality entries that only read."""
    return {product.lower(): dict(channels=len(bands), files=dict(product=product), reader=dict(type='BandReader', bands=bands, size=size))
            for product, bands in PRODUCTS.items()}


class AllDates(torch.utils.data.Dataset):
    """All dates of both products of every sample, as the published loader gives them."""

    def __init__(self, dataset: ShardDataset):
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        seasons = self.dataset.data_list[index]['seasons']
        return packed({name: [read_date(date) for date in dates] for name, dates in seasons.items()})


def packed(images: dict) -> dict:
    """Arrays ``(C, H, W)`` of a sample, by date or by view, to be collated."""
    return dict(inputs={name: [torch.from_numpy(image) for image in views] for name, views in images.items()}, data_samples=None)


def as_tensors(results: dict) -> dict:
    """Images of a sample, to be collated."""
    return packed({name: [image.transpose(2, 0, 1) for image in images] for name, images in results['images'].items()})


def ours(folder: Path, size: int, content: str):
    """A map-style data set."""
    if content == 'all dates':
        return AllDates(ShardDataset(entries(size), str(folder), split='train', pipeline=[]))
    steps, options = [dict(type='DrawSeasons'), dict(type='LoadModalities')], {}
    if content == 'streamed':
        options = dict(cache_folder=tempfile.mkdtemp(dir=folder.parent))
    dataset = ShardDataset(entries(size), SERVER['address'] if options else str(folder), split='train', pipeline=steps, **options)
    dataset.seed = 0
    dataset.pipeline.transforms.append(as_tensors)
    return dataset


class _Ranges(SimpleHTTPRequestHandler):
    """The standard server with parts of files."""

    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        """Nothing."""

    def send_head(self):
        """A part of a file where one is asked for."""
        part, path = re.fullmatch(r'bytes=(\d+)-(\d+)', self.headers.get('Range') or ''), Path(self.translate_path(self.path))
        if not part or not path.is_file():
            return super().send_head()
        first, last = int(part[1]), min(int(part[2]), path.stat().st_size - 1)
        with open(path, 'rb') as file:
            file.seek(first)
            data = file.read(last - first + 1)
        self.send_response(206)
        self.send_header('Content-Range', f'bytes {first}-{last}/{path.stat().st_size}')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        return io.BytesIO(data)


@contextmanager
def served(folder: Path):
    """The folder at an address, by a process of its own."""
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(_Ranges, directory=str(folder)))
    process = get_context('fork').Process(target=server.serve_forever, daemon=True)
    process.start()
    SERVER['address'] = f'http://127.0.0.1:{server.server_port}'
    try:
        yield
    finally:
        process.kill()
        process.join()
        server.server_close()


def published(folder: Path, batch_size: int):
    """The published loader's way of reading, with webdataset, fsspec and zarr."""
    import fsspec
    import webdataset
    import zarr
    paths = {product: sorted(str(path) for path in (folder / 'train' / product).glob('*.tar')) for product in PRODUCTS}

    def decoded(value: bytes):
        store = fsspec.filesystem('zip', fo=io.BytesIO(value), block_size=None).get_mapper('')
        return zarr.open_consolidated(store, mode='r')['bands'][...]

    def in_step(sources):
        for source in sources:
            number = int(source['url'])
            archives = [webdataset.tarfile_samples([dict(url=paths[product][number])]) for product in PRODUCTS]
            for members in zip(*archives):
                yield dict(zip(PRODUCTS, (member['zarr.zip'] for member in members)), __key__=members[0]['__key__'])

    return webdataset.DataPipeline(webdataset.SimpleShardList([str(i) for i in range(len(next(iter(paths.values()))))]),
                                   webdataset.split_by_worker, in_step,
                                   webdataset.map(lambda sample: {product: decoded(sample[product]) for product in PRODUCTS}),
                                   webdataset.batched(batch_size, collation_fn=default_collate))


def loader(folder: Path, kind: str, size: int, batch_size: int) -> DataLoader:
    """One worker over the samples in their order."""
    common = dict(num_workers=1, worker_init_fn=one_thread)
    if kind == 'published':
        return DataLoader(published(folder, batch_size), batch_size=None, **common)
    dataset = ours(folder, size, kind)
    sampler = ShardSampler(dataset, shuffle=False) if kind == 'streamed' else None
    return DataLoader(dataset, batch_size=batch_size, sampler=sampler, collate_fn=SharedCollate(multimodal_collate), **common)


def read_through(batch: dict) -> int:
    """Read a value of every page of a batch; how many samples it has."""
    batch = batch.get('inputs', batch)
    for tensors in (batch[name] for name in batch if name in PRODUCTS or name.upper() in PRODUCTS):
        for tensor in tensors if isinstance(tensors, list) else [tensors]:
            tensor.view(-1).view(torch.uint8)[::PAGE].max()
    return len(tensor)


def one_thread(worker: int) -> None:
    """A worker has one core."""
    torch.set_num_threads(1)


def memory(pid: int) -> dict:
    """Private and resident memory of a process, MiB."""
    lines = dict(line.split(':') for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()[1:])
    kilobytes = {key: int(value.split()[0]) for key, value in lines.items()}
    return dict(private=(kilobytes['Private_Clean'] + kilobytes['Private_Dirty']) / 1024, resident=kilobytes['Rss'] / 1024)


def processor_time() -> float:
    """Processor seconds of this process and of its workers that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def rate(folder: Path, kind: str, size: int, batch_size: int) -> tuple:
    """Samples per second by the wall clock (after the first batch) and by processor time, and the worker's largest memory."""
    source = loader(folder, kind, size, batch_size)
    before = processor_time()
    iterator = iter(source)
    count = first = read_through(next(iterator))
    start, most = time.perf_counter(), dict(private=0, resident=0)
    for batch in iterator:
        count += read_through(batch)
        workers = getattr(iterator, '_workers', [])
        if workers and workers[0].is_alive():
            now = memory(workers[0].pid)
            most = {key: max(most[key], now[key]) for key in most}
    wall = (count - first) / (time.perf_counter() - start)
    del iterator, batch  # which waits for the worker
    return wall, count / (processor_time() - before), most


def reading_alone(folder: Path, kind: str, size: int) -> float:
    """Samples per second of this process's time."""
    source = loader(folder, kind, size, 1).dataset
    start = time.process_time()
    # Of a map-style data set by number, of the published pipeline by batches of one.
    count = sum(1 for _ in (source if kind == 'published' else (source[i] for i in range(len(source)))))
    return count / (time.process_time() - start)


def first_batch(folder: Path, kind: str, size: int, batch_size: int) -> dict:
    """Seconds until there is a batch: by the wall clock, and of processor time in this process and its worker."""
    start, before = time.perf_counter(), processor_time()
    iterator = iter(loader(folder, kind, size, batch_size))
    next(iterator)
    wall = time.perf_counter() - start
    del iterator
    return dict(wall=wall, processor=processor_time() - before)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--samples', type=int, default=384, help='for the rates')
    parser.add_argument('--size', type=int, default=264, help='side, pixels')
    parser.add_argument('--batch-size', type=int, default=16)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--shards', type=int, default=477, help='for the time to the first batch')
    parser.add_argument('--per-shard', type=int, default=64, help='samples of each of these')
    parser.add_argument('--folder', help='for the shards; default: a temporary one')
    parser.add_argument('--out', help='write the figures to this JSON file too')
    args = parser.parse_args()
    torch.set_num_threads(1)
    kinds = ['all dates', 'two views', 'streamed']
    try:
        import webdataset  # noqa: F401
        kinds.insert(0, 'published')
    except ImportError:
        print('webdataset is not installed: nothing to compare with (pip install webdataset)')
    record = dict(cores=len(os.sched_getaffinity(0)), rates={}, memory={}, first_batch={})
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        large, many = Path(name, 'large'), Path(name, 'many')
        make_shards(large, 2, args.samples // 2, args.size)
        found = {kind: [] for kind in kinds}
        ours(large, args.size, 'two views')  # leaves the index that is served
        with served(large):
            for _ in range(args.rounds):  # in turns
                for kind in kinds:
                    found[kind].append(rate(large, kind, args.size, args.batch_size))
        for kind, runs in found.items():
            record['rates'][kind] = {clock: float(np.median([run[i] for run in runs])) for i, clock in enumerate(('wall', 'processor'))}
            record['memory'][kind] = {key: max(memory[key] for *_, memory in runs) for key in ('private', 'resident')}
            own = record['rates'][kind]
            beside = own['processor'] / record['rates']['published']['processor'] if 'published' in kinds else float('nan')
            print(f'{kind:>10}: {own["wall"]:7.1f} samples/s at one worker, {own["processor"]:.1f} per processor second '
                  f'({beside:.1f} x published), memory '
                  f'{record["memory"][kind]["private"]:.0f} MiB private, {record["memory"][kind]["resident"]:.0f} resident')
        alone = {kind: [] for kind in kinds if kind != 'streamed'}
        for _ in range(args.rounds):
            for kind, values in alone.items():
                values.append(reading_alone(large, kind, args.size))
        record['alone'] = {kind: float(np.median(values)) for kind, values in alone.items()}
        for kind, value in record['alone'].items():
            print(f'{kind:>10}: {value:7.1f} samples per processor second, reading alone '
                  f'({value / record["alone"].get("published", float("nan")):.1f} x published)')
        make_shards(many, args.shards, args.per_shard, 12)
        for kind, label in [('published', 'published')] * ('published' in kinds) + [('two views', 'no index'), ('two views', 'index')]:
            record['first_batch'][label] = first_batch(many, kind, 12, args.batch_size)
            print(f'first batch of {args.shards} shards of {args.per_shard}, {label}: {record["first_batch"][label]["wall"]:.2f} s, '
                  f'{record["first_batch"][label]["processor"]:.2f} s of processor time')
    print(f'{record["cores"]} cores, load {os.getloadavg()[0]:.1f}')
    if args.out:
        Path(args.out).write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
