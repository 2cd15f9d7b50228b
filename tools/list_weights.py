"""Published weights that decur.load, pretrained= and init_cfg take by name.

    python tools/list_weights.py                                  list the names
    python tools/list_weights.py decur_resnet50_ssl4eo-s12        what is known of one
    python tools/list_weights.py 'decur_resnet50_*' --download    fetch them and check their digests, for a machine without network

Files are kept in $TORCH_HOME/hub/checkpoints (TORCH_HOME is ~/.cache/torch by default). docs/weights_zoo.md has the whole table.
"""
import textwrap

from decur_command.arguments import answer_help, make_parser


def parse_args():
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument('name', nargs='?', default='*', metavar='NAME', help='a name, or a pattern with *; default: all')
    parser.add_argument('--download', action='store_true', help='fetch what is not there yet, and check its digest')
    return parser.parse_args()


answer_help(parse_args)  # before the imports that take seconds

from decur.errors import exit_on_bad_input
from decur.weights.sources import fetch
from decur.weights.zoo import WEIGHTS, Weights, find_weights, list_weights


@exit_on_bad_input()
def main():
    """List, describe or fetch."""
    args = parse_args()
    names = list_weights(args.name) or [find_weights(args.name).name]
    if args.download:
        for name in names:
            print(f'{name}: {fetch(f"decur://{name}")}', flush=True)
    elif len(names) == 1:
        print(describe(WEIGHTS[names[0]]))
    else:
        width = max(map(len, names))
        for name in names:
            entry = WEIGHTS[name]
            print(f'{name:<{width}}  {entry.method} on {entry.data}, {entry.encoder}, {" + ".join(entry.modalities)}')


def describe(entry: Weights) -> str:
    """All that is known of an entry."""
    rows = [('name', entry.name), ('trained', f'{entry.method} on {entry.data}'), ('encoder', entry.encoder),
            ('file', ', '.join(filter(None, (entry.file, entry.size)))), ('from', entry.address or f'{entry.page} (in a browser)'),
            ('SHA-256', f'{entry.sha256} ({entry.digest})' if entry.sha256 else 'none known here; noted on first use'),
            ('licence', f'{entry.licence} ({entry.page})'), ('config', f'decur::{entry.config}')]
    for modality, inputs in entry.inputs.items():
        rows += [(modality, f'{", ".join(inputs.bands)}; {inputs.units}'), ('', inputs.scaling), ('', inputs.size)]
    rows += [(title, text) for title, text in (('elsewhere', entry.elsewhere), ('known as', ', '.join(entry.also)), ('note', entry.note))
             if text]
    lines = []
    for title, text in rows:
        first, *rest = textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)
        lines += [f'{title:<10} {first}', *(f'{"":<10} {line}' for line in rest)]
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
