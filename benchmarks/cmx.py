"""CMX-B2 against its plain form: training step, inference with torch.compile, peak memory.

    python benchmarks/cmx.py [--config FILE] [--size 480 640] [--batch 1] [--threads 2] [--rounds 3] [--no-compile]

The plain form is the same network with the same weights, written as the papers print it: attention matrices are formed and kept for the
backward pass, tokens are copied to maps and back around the depthwise convolution, the fusion multiplies queries and context and
concatenates, and the decoder resizes every stage to full width before its 1x1 convolution. Both give the same logits, which is checked
first. The two alternate; the fastest round of each counts, since other work on the machine only ever adds time, and the processor time
of that comparison (all threads together, also the smallest) is printed beside it. Peak memory is that of a fresh process per form.
"""
import argparse
import functools
import json
import math
import resource
import subprocess
import sys
import time
import types
from pathlib import Path

import torch
from mmengine.config import Config
from torch.nn import functional as F

import decur  # noqa: F401
from decur.models.heads import CMXHead
from decur.models.interactions.cmx import CMXRectification, _Fusion
from decur.models.streams.mit import _Attention, _Block
from decur.weights.convert import build_model

ROOT = Path(__file__).parents[1]


def plain_attention(self, x, size):
    """softmax(q k^T) v with the matrix in memory."""
    attn, n = self.attn, len(x)
    reduced = x
    if self.sr_ratio > 1:
        reduced = self.sr(x.transpose(1, 2).reshape(n, -1, *size).contiguous())
        reduced = self.norm(reduced.flatten(2).transpose(1, 2))
    dim = attn.embed_dim
    q = F.linear(x, attn.in_proj_weight[:dim], attn.in_proj_bias[:dim]).reshape(n, -1, attn.num_heads, dim // attn.num_heads)
    kv = F.linear(reduced, attn.in_proj_weight[dim:], attn.in_proj_bias[dim:]).reshape(n, -1, 2, attn.num_heads, dim // attn.num_heads)
    q, (k, v) = q.transpose(1, 2), kv.permute(2, 0, 3, 1, 4)
    matrix = (q @ k.transpose(-2, -1)) * (dim // attn.num_heads) ** -.5
    out = (matrix.softmax(dim=-1) @ v).transpose(1, 2).reshape(n, -1, dim)
    return self.dropout_layer(self.proj_drop(attn.out_proj(out)))


def plain_mlp(self, x, size):
    """Linear, copy to a map, depthwise convolution, copy to tokens, GELU, linear."""
    fc1, depthwise, activation, drop, fc2, _ = self.ffn.layers
    n = len(x)
    x = F.linear(x, fc1.weight.flatten(1), fc1.bias)
    x = depthwise(x.transpose(1, 2).reshape(n, -1, *size).contiguous()).flatten(2).transpose(1, 2)
    return self.ffn.dropout_layer(drop(F.linear(drop(activation(x)), fc2.weight.flatten(1), fc2.bias)))


def plain_rectification(self, maps):
    """The formulas of section III-B one by one."""
    a, b = (maps[name].contiguous() for name in self.names)
    both = torch.cat([a, b], dim=1)
    pooled = torch.cat([F.adaptive_avg_pool2d(both, 1), F.adaptive_max_pool2d(both, 1)], dim=1).flatten(1)
    channel = self.channel(pooled).unflatten(1, (2, -1))[..., None, None].unbind(1)
    spatial = self.spatial(both).split(1, dim=1)
    new_a = a + self.lambda_c * channel[1] * b + self.lambda_s * spatial[1] * b
    new_b = b + self.lambda_c * channel[0] * a + self.lambda_s * spatial[0] * a
    return dict(zip(self.names, (new_a, new_b)))


def plain_fusion(self, a, b):
    """The formulas of section III-C one by one."""
    n, c, height, width = a.shape
    tokens = [x.contiguous().flatten(2).transpose(1, 2) for x in (a, b)]
    residual, interactive = zip(*(F.relu(proj(x)).chunk(2, dim=-1) for proj, x in zip(self.proj, tokens)))
    queries, contexts = [], []
    for kv, u in zip(self.kv, interactive):
        queries.append(u.reshape(n, -1, self.num_heads, c // self.num_heads).transpose(1, 2).contiguous())
        k, v = kv(u).reshape(n, -1, 2, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4).contiguous()
        contexts.append(((k.transpose(-2, -1) @ v) * (c // self.num_heads) ** -.5).softmax(dim=-2))
    out = []
    for i in range(2):
        exchanged = (queries[i] @ contexts[1 - i]).transpose(1, 2).reshape(n, -1, c)
        out.append(self.norm[i](tokens[i] + self.end[i](torch.cat([residual[i], exchanged], dim=-1))))
    merged = torch.cat(out, dim=-1).transpose(1, 2).reshape(n, 2 * c, height, width).contiguous()
    return self.merge_norm(self.residual(merged) + self.embed(merged))


def plain_decoder(self, inputs):
    """Linear layers, resize to the first stage, concatenate, 1x1 convolution."""
    columns = []
    for x, embed in zip(inputs, self.embed):
        y = embed(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(len(x), -1, *x.shape[2:])
        columns.append(F.interpolate(y, size=inputs[0].shape[2:], mode='bilinear', align_corners=False))
    return self.cls_seg(self.fuse(torch.cat(columns[::-1], dim=1)))


PLAIN = {_Attention: dict(forward=plain_attention), _Block: dict(_mix_ffn=plain_mlp), CMXRectification: dict(forward=plain_rectification),
         _Fusion: dict(forward=plain_fusion), CMXHead: dict(forward=plain_decoder)}


def build(config, form):
    """The model of a config, in one of the two forms, with the same weights."""
    cfg = Config.fromfile(config)
    cfg.model.test_cfg = dict(mode='whole')
    model = build_model(cfg)
    if form == 'plain':
        replaced = set()
        for module in model.modules():
            for name, function in PLAIN.get(type(module), {}).items():
                setattr(module, name, types.MethodType(function, module))
                replaced.add(type(module))
        assert replaced == set(PLAIN), set(PLAIN) - replaced
    return model


def step_of(model, size, batch):
    """A training step on random images: forward, loss, backward, AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-5, weight_decay=.01)
    model.train()
    x = torch.randn(batch, 6, *size)
    label = torch.randint(0, model.decode_head.num_classes, (batch, *size))

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = F.interpolate(model(x, mode='tensor'), size=size, mode='bilinear', align_corners=False)
        F.cross_entropy(logits, label).backward()
        optimizer.step()

    return step


def alternate(functions, rounds):
    """Smallest (wall, processor) seconds of each function, after one warm-up, in alternating rounds."""
    best = {name: (math.inf, math.inf) for name in functions}
    for i in range(rounds + 1):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            if i:
                best[name] = (min(best[name][0], time.perf_counter() - wall), min(best[name][1], time.process_time() - cpu))
    return best


def compare(what, best, form):
    """One line: the plain form against another."""
    (plain, plain_cpu), (ours, ours_cpu) = best['plain'], best[form]
    print(f'{what}: plain {plain:.2f} s, {form} {ours:.2f} s: {plain / ours:.2f}x (processor time {plain_cpu:.2f} s, {ours_cpu:.2f} s: '
          f'{plain_cpu / ours_cpu:.2f}x)', flush=True)


def peak_memory(args, form):
    """Peak resident MiB of two training steps in a fresh process."""
    command = [sys.executable, __file__, '--config', args.config, '--size', *map(str, args.size), '--batch', str(args.batch), '--threads',
               str(args.threads), '--memory-of', form]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default=str(ROOT / 'configs/cmx/nyudv2_rgb-hha_mit-b2_finetune.py'))
    parser.add_argument('--size', type=int, nargs=2, default=(480, 640))
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--no-compile', action='store_true', help='leave torch.compile out (it compiles for minutes)')
    parser.add_argument('--memory-of', choices=['ours', 'plain'], help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if args.memory_of:
        step = step_of(build(args.config, args.memory_of), args.size, args.batch)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        step()
        step()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps([before / 1024, peak / 1024]))
        return

    # While this process is small: on Linux a process starts with the peak of the one that started it.
    memory = {form: peak_memory(args, form) for form in ('plain', 'ours')}
    models = {form: build(args.config, form) for form in ('plain', 'ours')}
    x = torch.randn(args.batch, 6, *args.size)
    with torch.no_grad():
        logits = {form: model.eval()(x, mode='tensor') for form, model in models.items()}
    difference = (logits['plain'] - logits['ours']).abs().max().item()
    print(f'{Path(args.config).stem}, {args.batch} x {args.size[0]}x{args.size[1]}, {args.threads} threads, torch {torch.__version__}')
    print(f'largest difference of the logits: {difference:.1e} (largest logit {logits["plain"].abs().max():.1f})')
    assert difference < 1e-3

    steps = {form: step_of(model, args.size, args.batch) for form, model in models.items()}
    compare('training step', alternate(steps, args.rounds), 'ours')

    functions = {form: functools.partial(model.eval(), x, mode='tensor') for form, model in models.items()}
    if not args.no_compile:
        compiled = torch.compile(lambda inputs: models['ours'](inputs, mode='tensor'))
        functions['compiled'] = lambda: compiled(x)
    with torch.no_grad():
        best = alternate(functions, args.rounds)
        compare('inference', best, 'ours')
        if not args.no_compile:
            compare('inference with torch.compile', best, 'compiled')
            print(f'compiled differs from eager by {(functions["compiled"]() - functions["ours"]()).abs().max().item():.1e}')

    print('peak memory of a training process: ' + ', '.join(f'{form} {peak:.0f} MiB ({peak - before:.0f} above the built model)'
                                                            for form, (before, peak) in memory.items()))


if __name__ == '__main__':
    main()
