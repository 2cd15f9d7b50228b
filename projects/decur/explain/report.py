"""The page that shows an explanation: every picture with one line on how to read it."""
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from decur.writing import write_bytes

_STYLE = '''body { font-family: sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.45; color: #222 }
img { max-width: 100%; height: auto } table { border-collapse: collapse; margin: 0.6rem 0 }
td, th { border: 1px solid #ccc; padding: 0.2rem 0.6rem; text-align: right } td:first-child, th:first-child { text-align: left }
.read { background: #f3f6fa; padding: 0.5rem 0.8rem; border-left: 4px solid #0072b2 }'''


@dataclass(frozen=True)
class Section:
    """One result of a report.

    Attributes:
        title: heading.
        reading: one line on how to read it.
        pictures: file names beside the page.
        files: file names of the numbers, beside the page.
        table: rows of a short table, the first one the head.
    """

    title: str
    reading: str
    pictures: Sequence[str] = ()
    files: Sequence[str] = ()
    table: Sequence[Sequence] = ()


def write_report(path: Path, title: str, facts: Mapping[str, object], sections: Sequence[Section]) -> None:
    """Write a page that needs nothing but the files beside it.

    Args:
        path: of the page.
        title: heading.
        facts: what was explained (config, checkpoint, samples, ...).
        sections: in order.
    """
    escape = lambda value: html.escape(str(value))  # noqa: E731
    out = ['<!doctype html>', '<html lang="en"><head><meta charset="utf-8">', f'<title>{escape(title)}</title>',
           f'<style>{_STYLE}</style></head><body>', f'<h1>{escape(title)}</h1>', '<ul>']
    out += [f'<li>{escape(key)}: <code>{escape(value)}</code></li>' for key, value in facts.items()]
    out.append('</ul>')
    for section in sections:
        out += [f'<h2>{escape(section.title)}</h2>', f'<p class="read">{escape(section.reading)}</p>']
        if section.table:
            out.append('<table>')
            for i, row in enumerate(section.table):
                tag = 'td' if i else 'th'
                out.append('<tr>' + ''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in row) + '</tr>')
            out.append('</table>')
        out += [f'<p><img src="{escape(name)}" alt="{escape(section.title)}"></p>' for name in section.pictures]
        if section.files:
            out.append('<p>Numbers: ' + ', '.join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in section.files) + '</p>')
    out.append('</body></html>')
    text = '\n'.join(out) + '\n'
    write_bytes(path, text.encode())
