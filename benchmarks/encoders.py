"""MiT and deformable attention against their explicit-matrix forms: training step, inference with torch.compile, peak memory.

    python benchmarks/encoders.py [--arch b2] [--size 480 640] [--batch 2] [--threads 2] [--rounds 3] [--no-compile] [--no-train]

The explicit forms have the same weights and give the same numbers, which is checked first: the attention matrix is formed, kept for the
backward pass and multiplied, and tokens are copied to maps and back around convolutions, as the published encoders do it. ``mmseg`` is
mmseg's ``MixVisionTransformer``. The forms alternate in one process; the fastest round of each counts, since other work on the machine
only ever adds time, and the smallest processor time (all threads together) is printed beside it. Where the speed of the machine itself
drifts, the median over rounds of the ratio within a round (``by round``) says more. Inference comes first: in a process that
has trained, the caches and the heap are in another state. As in the tools, freed memory is kept for the next step
(``decur.engine.allocator``). Peak memory is that of a fresh process per form, above what it had before the step.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
import types

import torch
from mmseg.models.backbones import MixVisionTransformer
from torch.nn import functional as F

import decur  # noqa: F401
from decur.engine.allocator import keep_freed_memory
from decur.models.interactions import RDA, DeformableAttention
from decur.models.streams import DecurMixVisionTransformer
from decur.models.streams.mit import _Attention, _Block


def explicit_attention(self, x, size):
    """softmax(q k^T) v with the matrix in memory."""
    attn, n = self.attn, len(x)
    dim, heads = attn.embed_dim, attn.num_heads
    reduced = x
    if self.sr_ratio > 1:
        reduced = self.sr(x.permute(0, 2, 1).reshape(n, dim, *size).contiguous()).reshape(n, dim, -1).permute(0, 2, 1)
        reduced = self.norm(reduced)
    weights, biases = (t.split((dim, 2 * dim)) for t in (attn.in_proj_weight, attn.in_proj_bias))
    q = F.linear(x, weights[0], biases[0]).reshape(n, -1, heads, dim // heads).permute(0, 2, 1, 3)
    kv = F.linear(reduced, weights[1], biases[1]).reshape(n, -1, 2, heads, dim // heads)
    k, v = kv.permute(2, 0, 3, 1, 4)
    matrix = ((q @ k.transpose(-2, -1)) * (dim // heads) ** -.5).softmax(dim=-1)
    return self.dropout_layer(self.proj_drop(attn.out_proj((matrix @ v).transpose(1, 2).reshape(n, -1, dim))))


def explicit_mlp(self, x, size):
    """Linear, copy to a map, depthwise convolution, copy to tokens, GELU, linear."""
    fc1, depthwise, activation, drop, fc2, _ = self.ffn.layers
    n = len(x)
    x = F.linear(x, fc1.weight.flatten(1), fc1.bias)
    x = depthwise(x.transpose(1, 2).reshape(n, -1, *size).contiguous()).flatten(2).transpose(1, 2)
    return self.ffn.dropout_layer(drop(F.linear(drop(activation(x)), fc2.weight.flatten(1), fc2.bias)))


def explicit_sdpa(q, k, v, attn_mask):
    """Attention with a bias, its matrix formed."""
    return ((q @ k.transpose(-2, -1)) * q.shape[-1] ** -.5 + attn_mask).softmax(dim=-1) @ v


def mit(form, arch):
    """A MiT in one of the forms, always with the same weights."""
    torch.manual_seed(0)
    net = DecurMixVisionTransformer(arch, drop_path_rate=0.)
    net.init_weights()
    if form == 'mmseg':
        reference = MixVisionTransformer(embed_dims=net.embed_dims, num_layers=net.num_layers, num_heads=net.num_heads)
        reference.load_state_dict(net.state_dict())
        for ours, theirs in zip(net.layers, reference.layers):  # the published epsilons, so that the numbers can be compared
            theirs[0].norm.eps = ours[0].norm.eps
            for block in theirs[1]:
                if block.attn.sr_ratio > 1:
                    block.attn.norm.eps = ours[0].norm.eps
        return reference
    if form == 'explicit':
        for module in net.modules():
            if isinstance(module, _Attention):
                module.forward = types.MethodType(explicit_attention, module)
            elif isinstance(module, _Block):
                module._mix_ffn = types.MethodType(explicit_mlp, module)
    return net


class Attentions(torch.nn.Module):
    """The two attentions of ResNet50-RDA on a 480x640 image's maps."""

    def __init__(self, size):
        super().__init__()
        self.a = RDA(1024, num_heads=8, groups=4, stride=2, kernel_size=5, map_size=14)
        self.b = RDA(2048, num_heads=16, groups=8, stride=1, kernel_size=3, map_size=7)
        self.sizes = [(size[0] // 16, size[1] // 16), (size[0] // 32, size[1] // 32)]

    def forward(self, x):
        """Both, one behind the other, on constant maps."""
        return [self.a(x[0]), self.b(x[1])]


def rda(form, size):
    """Both attentions in one of the forms."""
    torch.manual_seed(0)
    net = Attentions(size)
    if form == 'explicit':
        for module in net.modules():
            if isinstance(module, DeformableAttention):
                original = module.forward

                def forward(*args, original=original):
                    kept, F.scaled_dot_product_attention = F.scaled_dot_product_attention, explicit_sdpa
                    try:
                        return original(*args)
                    finally:
                        F.scaled_dot_product_attention = kept

                module.forward = forward
    return net


def subject(args, what, form):
    """A network in a form, and its input."""
    net = mit(form, args.arch) if what == 'mit' else rda(form, args.size)
    torch.manual_seed(1)  # the same input for every form
    if what == 'mit':
        return net, torch.randn(args.batch, 3, *args.size)
    return net, [torch.randn(args.batch, c, *size) for c, size in zip((1024, 2048), net.sizes)]


def training_step(net, x):
    """Forward, backward and AdamW."""
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        sum(m.square().mean() for m in net(x)).backward()
        optimizer.step()

    return step


def inference(net, x, compiled=False):
    """Forward without gradients."""
    net.eval()
    call = torch.compile(net) if compiled else net

    def step():
        with torch.inference_mode():
            return call(x)

    return step


def compare(steps, rounds):
    """Wall and processor seconds of each round of each step, alternating, after one warm-up: {name: [(wall, processor), ...]}."""
    for step in steps.values():
        step()
    spent = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return spent


def peak_mib():
    """Largest resident memory of this process so far (ru_maxrss would be that of the process that started it, if larger)."""
    with open('/proc/self/status') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmHWM')) / 1024


def peak_of(args, what, form):
    """MiB that a training step adds, in a fresh process."""
    command = [sys.executable, '-W', 'ignore', __file__, '--arch', args.arch, '--size', *map(str, args.size), '--batch', str(args.batch),
               '--threads', str(args.threads), '--peak', what, form]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(title, spent, base):
    """Print the times of a comparison and the ratios to the base form: of the fastest rounds, and the median over rounds."""
    print(title)
    fastest = {name: [min(values) for values in zip(*rounds)] for name, rounds in spent.items()}
    for name, (wall, cpu) in fastest.items():
        line = f'  {name:<20} {wall:8.3f} s   processor {cpu:8.3f} s'
        if name != base:
            by_round = statistics.median(a[0] / b[0] for a, b in zip(spent[base], spent[name]))
            line += (f'   {fastest[base][0] / wall:5.2f}x the speed of {base} (processor {fastest[base][1] / cpu:.2f}x, '
                     f'by round {by_round:.2f}x)')
        print(line, flush=True)


def main():
    """Run the comparisons and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', default='b2')
    parser.add_argument('--size', type=int, nargs=2, default=(480, 640), metavar=('H', 'W'))
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--no-compile', action='store_true')
    parser.add_argument('--no-train', action='store_true')
    parser.add_argument('--peak', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.peak:
        step = training_step(*subject(args, *args.peak))
        before = peak_mib()
        step()
        print(json.dumps(peak_mib() - before))
        return
    keep_freed_memory()
    print(f'torch {torch.__version__}, {args.threads} threads, MiT-{args.arch.upper()}, batch {args.batch}, '
          f'{args.size[0]}x{args.size[1]}, float32, best of {args.rounds}')
    for what, title, forms in (('mit', f'MiT-{args.arch.upper()}', ('explicit', 'mmseg', 'ours')),
                               ('rda', 'the two attentions of ResNet50-RDA', ('explicit', 'ours'))):
        subjects = {form: subject(args, what, form) for form in forms}
        with torch.inference_mode():
            expected = [m for m in subjects['explicit'][0].eval()(subjects['explicit'][1])]
            for form in forms[1:]:
                error = max(float((a - b).norm() / b.norm()) for a, b in zip(subjects[form][0].eval()(subjects[form][1]), expected))
                assert error < 1e-4, (form, error)
                print(f'{title}, {form} against explicit: relative difference {error:.1e}')
        steps = {form: inference(*s) for form, s in subjects.items()}
        if not args.no_compile:
            steps['ours, compiled'] = inference(*subjects['ours'], compiled=True)
        show(f'{title}, inference', compare(steps, args.rounds), 'explicit')
        if not args.no_train:
            show(f'{title}, training step', compare({form: training_step(*s) for form, s in subjects.items()}, args.rounds), 'explicit')
            peaks = {form: peak_of(args, what, form) for form in forms}
            print(f'{title}, peak memory of a training step: ' + ', '.join(f'{form} {mib:.0f} MiB' for form, mib in peaks.items()),
                  flush=True)

if __name__ == '__main__':
    main()
