"""The page that shows an explanation: every picture with one line on how to read it."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from decur.writing import write_bytes

_PAGE = '''<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ title }}</title>
<style>
body { font-family: sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.45; color: #222 }
img { max-width: 100%; height: auto } table { border-collapse: collapse; margin: 0.6rem 0 }
td, th { border: 1px solid #ccc; padding: 0.2rem 0.6rem; text-align: right } td:first-child, th:first-child { text-align: left }
.read { background: #f3f6fa; padding: 0.5rem 0.8rem; border-left: 4px solid #0072b2 }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<ul>
{% for key, value in facts.items() %}
<li>{{ key }}: <code>{{ value }}</code></li>
{% endfor %}
</ul>
{% for section in sections %}
<h2>{{ section.title }}</h2>
<p class="read">{{ section.reading }}</p>
{% if section.table %}
<table>
<tr>{% for cell in section.table[0] %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in section.table[1:] %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% endif %}
{% for name in section.pictures %}
<p><img src="{{ name | urlencode }}" alt="{{ section.title }}"></p>
{% endfor %}
{% if section.files %}
<p>Numbers: {% for name in section.files %}<a href="{{ name | urlencode }}">{{ name }}</a>{{ ", " if not loop.last }}{% endfor %}</p>
{% endif %}
{% endfor %}
</body>
</html>
'''


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
    from jinja2 import Environment
    page = Environment(autoescape=True, trim_blocks=True, keep_trailing_newline=True).from_string(_PAGE)
    write_bytes(path, page.render(title=title, facts=facts, sections=sections).encode())
