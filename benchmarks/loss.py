"""Time, memory and traffic of DeCUR's loss: Gram form, matrix form, and the K x K form of the published code in plain autograd.

python benchmarks/loss.py                          # the table behind the README's figures, and a plot
python benchmarks/loss.py --shapes 64x2048 --worlds 2
Times are forward + backward of all four terms of two modalities, the median of repeats; the ratios are of wall-clock time, of processor
time (which does not count waiting for others on a busy machine) and of memory. On a CPU freed memory is kept, as in training. Memory is
what one such pass needs beyond its inputs and their gradients, in a process of its own: the peak resident size on a CPU, the allocator's
peak on a GPU. Bytes are what one process receives.
"""
import argparse
import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import decur  # noqa: F401
from decur.engine.allocator import keep_freed_memory
from decur.models import decur_loss

FORMS = ('gram', 'matrix', 'published')


def published_form(embeddings, common_dim, lambd=0.0051):
    """The supplement's Algorithm 1 as the published code writes it: three K x K matrices in plain autograd."""
    def off_diagonal(c):
        n = len(c)
        return c.flatten()[:-1].view(n - 1, n + 1)[:, 1:].flatten()

    def term(c, target):
        return (c.diagonal() - target).pow(2).sum() + lambd * off_diagonal(c).pow(2).sum()

    (a1, a2), (b1, b2) = (tuple(torch.nn.functional.batch_norm(z, None, None, training=True) for z in v) for v in embeddings.values())
    n = len(a1)
    intra_a, intra_b, cross = a1.T @ a2 / n, b1.T @ b2 / n, a1.T @ b1 / n
    return dict(loss=term(intra_a, 1) + term(intra_b, 1) + term(cross[:common_dim, :common_dim], 1)
                + term(cross[common_dim:, common_dim:], 0))


def make(n, k, device='cpu', seed=0):
    """Embeddings of two modalities, (N, K) float32."""
    g = torch.Generator().manual_seed(seed)
    return {m: tuple(torch.randn(n, k, generator=g).to(device).requires_grad_() for _ in range(2)) for m in ('a', 'b')}


def one_pass(form, embeddings, common_dim):
    """Forward and backward."""
    for views in embeddings.values():
        for z in views:
            z.grad = None
    loss = published_form(embeddings, common_dim) if form == 'published' else decur_loss(embeddings, common_dim, form=form)
    loss['loss'].backward()


def resident():
    """Resident bytes of this process."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()


def measure(form, n, k, device, threads, repeats):
    """Seconds and extra bytes of one form, in this process."""
    torch.set_num_threads(threads)
    on_gpu = device != 'cpu'
    if not on_gpu:
        keep_freed_memory()
    one_pass(form, make(8, 64, device), 48)  # libraries start here, not in the measurement
    embeddings = make(n, k, device)
    for views in embeddings.values():  # the gradients of the inputs are part of every form alike
        for z in views:
            z.grad = torch.zeros_like(z)
    common_dim = k * 7 // 8
    if on_gpu:
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        one_pass(form, embeddings, common_dim)
        torch.cuda.synchronize()
        extra = torch.cuda.max_memory_allocated() - before
    else:
        before, peak, stop = resident(), [0], threading.Event()

        def watch():
            while not stop.wait(0.0005):
                peak[0] = max(peak[0], resident())

        watcher = threading.Thread(target=watch)
        watcher.start()
        one_pass(form, embeddings, common_dim)
        stop.set()
        watcher.join()
        # The kernel's own high-water mark where it rose in this pass, else the watched one.
        extra = max(peak[0], resident()) - before
    seconds, busy = [], []
    # Short passes are repeated for at least a second.
    while len(seconds) < repeats or (sum(seconds) < 1 and len(seconds) < 20 * repeats):
        start, cpu = time.perf_counter(), time.process_time()
        one_pass(form, embeddings, common_dim)
        if on_gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - cpu)
    return dict(seconds=statistics.median(seconds), cpu_seconds=statistics.median(busy), bytes=max(extra, 1))


def in_own_process(form, n, k, args, repeats):
    """Run :func:`measure` in a fresh interpreter, so that one form's memory does not hide another's."""
    command = [sys.executable, __file__, '--one', form, str(n), str(k), str(repeats), '--device', args.device]
    command += ['--threads', str(args.threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f'{" ".join(command)} failed:\n{done.stderr[-2000:]}')
    return json.loads(done.stdout.strip().splitlines()[-1])


def _traffic(rank, world, port, n, k, queue):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world)
    received = [0]
    into, listed, reduced = dist.all_gather_into_tensor, dist.all_gather, dist.all_reduce

    def count_into(output, tensor, *args, **kwargs):
        received[0] += output.nbytes - tensor.nbytes
        return into(output, tensor, *args, **kwargs)

    def count_list(outputs, tensor, *args, **kwargs):
        received[0] += sum(o.nbytes for o in outputs) - tensor.nbytes
        return listed(outputs, tensor, *args, **kwargs)

    def count_reduce(tensor, *args, **kwargs):
        received[0] += 2 * tensor.nbytes * (world - 1) // world  # a ring: reduce-scatter, then all-gather
        return reduced(tensor, *args, **kwargs)

    dist.all_gather_into_tensor, dist.all_gather, dist.all_reduce = count_into, count_list, count_reduce
    decur_loss(make(n, k, seed=rank), k * 7 // 8)['loss'].backward()
    if rank == 0:
        queue.put(received[0])
    dist.barrier()
    dist.destroy_process_group()


def traffic(world, n, k, port):
    """Bytes that one process receives in one forward and backward pass, n samples each, and what three K x K all-reduces would take."""
    queue = mp.get_context('spawn').SimpleQueue()
    mp.spawn(_traffic, (world, port, n, k, queue), nprocs=world)
    return queue.get(), 3 * 2 * 4 * k * k * (world - 1) // world


def plot(rows, path):
    """Time and memory over the width, one line per form and batch size."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    styles = dict(gram='-', matrix='--', published=':')
    sizes = sorted({row['n'] for row in rows})
    panels = (('seconds', 1e3, 'ms, forward + backward'), ('bytes', 2**-20, 'MiB beyond the inputs'))
    for axis, (key, factor, label) in zip(axes, panels):
        for index, n in enumerate(sizes):
            for form in FORMS:
                points = sorted((row['k'], row[form][key] * factor) for row in rows if row['n'] == n and form in row)
                if points:
                    axis.loglog(*zip(*points), styles[form], marker='o', color=f'C{index}', label=f'{form}, N = {n}')
        axis.set_xlabel('K')
        axis.set_ylabel(label)
        axis.grid(alpha=0.3, which='both')
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main():
    """Print the tables and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--shapes', nargs='+', metavar='NxK', default=[
        '64x1024', '64x4096', '64x8192', '64x16384', '64x32768', '256x1024', '256x4096', '256x8192', '256x16384', '256x32768', '1024x1024'])
    parser.add_argument('--forms', nargs='+', default=list(FORMS), choices=FORMS)
    parser.add_argument('--max-width', type=int, default=8192, help='widest K of the K x K forms; they need about 8 such matrices')
    parser.add_argument('--worlds', nargs='*', type=int, default=[2, 4], help='numbers of processes of the traffic table')
    parser.add_argument('--traffic-shape', default='64x8192', metavar='NxK', help='samples of each process, and K')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--port', type=int, default=29641)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmarks/loss.png'), help='the plot; a .json beside it')
    parser.add_argument('--one', nargs=4, metavar=('FORM', 'N', 'K', 'REPEATS'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        form, n, k, repeats = args.one
        print(json.dumps(measure(form, int(n), int(k), args.device, args.threads, int(repeats))))
        return
    print(f'device {args.device}, {args.threads} threads, torch {torch.__version__}, float32')
    head = ' '.join(f'{form + " ms":>14} {"MiB":>8}' for form in args.forms)
    print(f'{"N":>5} {"K":>6} {head}   published/gram: time, cpu time, memory')
    rows = []
    for shape in args.shapes:
        n, k = map(int, shape.lower().split('x'))
        row = dict(n=n, k=k)
        for form in args.forms:
            if form == 'gram' or k <= args.max_width:
                slow = form != 'gram' and k >= 4096
                row[form] = in_own_process(form, n, k, args, min(args.repeats, 2) if slow else args.repeats)
        rows.append(row)
        cells = ' '.join(f'{row[f]["seconds"] * 1e3:14.1f} {row[f]["bytes"] / 2**20:8.1f}' if f in row else f'{"-":>14} {"-":>8}'
                         for f in args.forms)
        ratio = ''
        if 'gram' in row and 'published' in row:
            ratio = '   ' + ', '.join(f'{row["published"][key] / row["gram"][key]:.1f}x' for key in ('seconds', 'cpu_seconds', 'bytes'))
        print(f'{n:5d} {k:6d} {cells}{ratio}', flush=True)
    n, k = map(int, args.traffic_shape.lower().split('x'))
    exchanged = []
    for index, world in enumerate(args.worlds):
        ours, matrices = traffic(world, n, k, args.port + index)
        exchanged.append(dict(world=world, n=n, k=k, ours=ours, matrices=matrices))
        print(f'W = {world}, N = {n} each, K = {k}: one process receives {ours / 2**20:.1f} MiB; three K x K all-reduces '
              f'{matrices / 2**20:.1f} MiB ({matrices / ours:.0f}x)', flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.with_suffix('.json').write_text(json.dumps(dict(
        device=args.device, threads=args.threads, torch=torch.__version__, forms=rows, traffic=exchanged), indent=1))
    plot(rows, args.out)
    print(f'wrote {args.out} and {args.out.with_suffix(".json")}')


if __name__ == '__main__':
    main()
