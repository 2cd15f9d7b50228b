"""Parameters, FLOPs, training memory and latency of a config's model.

    python tools/analysis/get_complexity.py CONFIG [--size H W] [--batch N] [--repeats 10] [--device cpu] [--json FILE]

FLOPs are counted by torch.utils.flop_counter: a multiply-add is 2 FLOPs. Other tools count otherwise; compare numbers of one tool only.
A pretraining config is run up to its features, without the projector; its training memory is with it. That is what a step holds at least,
in float32: about half of the activations with --amp.
"""
from decur_command.arguments import add_argument, answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__, 'config')
    parser.add_argument('--size', type=int, nargs=2, default=(224, 224), metavar=('H', 'W'), help='of the images (default: 224 224)')
    parser.add_argument('--batch', type=int, default=1, help='images at a time (default: 1)')
    parser.add_argument('--repeats', type=int, default=10, help='forward passes that are timed; 0 for none (default: 10)')
    add_argument(parser, 'device', help='where latency is measured (default: cpu)')
    parser.add_argument('--json', metavar='FILE', help='write the figures to this file')
    add_argument(parser, 'cfg-options')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.apis import complexity
from decur.cli import output_file
from decur.engine import load_config
from decur.errors import exit_on_bad_input
from decur.writing import write_json


@exit_on_bad_input()
def main():
    """Count, measure, print."""
    args = parse_args()
    if args.json:
        output_file(args.json)
    cfg = load_config(args.config, args.cfg_options)
    model, modalities = complexity.build_for_analysis(cfg)
    inputs = complexity.example_inputs(model, modalities, args.size, args.batch)
    parameters = complexity.count_parameters(model)
    flops = complexity.count_flops(model, inputs)
    memory = complexity.training_memory(model, cfg, inputs, args.batch)
    latency = complexity.measure_latency(model.to(args.device), inputs, args.repeats) if args.repeats else None
    print(f'{args.config}, {args.batch} x {args.size[0]}x{args.size[1]}')
    print(f'parameters  {parameters["total"]:,} ({parameters["trainable"]:,} trainable)')
    for name, count in parameters['parts'].items():
        print(f'  {name:<40} {count:>14,}')
    print(f'FLOPs       {flops / 1e9:.2f} G, counted by {complexity.FLOPS_TOOL}')
    print(f'training    {memory["state"] / 2**30:.2f} GiB for weights, gradients and optimiser, '
          f'{memory["sample"] / 2**20:.0f} MiB for the activations of each sample (float32)')
    if latency:
        print(f'latency     {latency["median"] * 1e3:.1f} ms median of {args.repeats}, {latency["fastest"] * 1e3:.1f} to '
              f'{latency["slowest"] * 1e3:.1f}, on {latency["device"]} with {latency["threads"]} threads')
    if args.json:
        write_json(args.json, dict(config=args.config, size=list(args.size), batch=args.batch, parameters=parameters, flops=flops,
                                   flops_tool=complexity.FLOPS_TOOL, training_memory=memory, latency=latency))


if __name__ == '__main__':
    main()
