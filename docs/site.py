"""What MkDocs needs to make the site of the repository as it is: hooks of the build, and docstrings as Markdown (``mkdocs.yml``).

Pages that lie outside of ``docs`` are taken from where they are. Their links, and those of the documents to files that the site does not
have, lead to the page of the same content, or become plain words.
"""
import ast
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
#: Files of the repository that are pages of the site.
PAGES = {'README.md': 'index.md', 'configs/README.md': 'configs.md', 'CHANGELOG.md': 'changelog.md', 'CONTRIBUTING.md': 'contributing.md'}
#: Menu into which pages go that mkdocs.yml does not name.
REST = 'How-to'
_LINK = re.compile(r'(!?)\[([^\]]*(?:\[[^\]]*\][^\]]*)*)\]\(([^)\s]+)\)')
_TABLE = re.compile(r'<table>.*?</table>', re.S)
_CELL = re.compile(r'<t[hd][^>]*>(.*?)</t[hd]>', re.S)
_CODE = re.compile(r'^(```.*?^```|(?:    .*\n?)+)', re.M | re.S)


def modules() -> dict:
    """Pages of the API reference: ``{folder or file of the package: names of its public modules}``."""
    found: dict = {}
    package = ROOT / 'projects' / 'decur'
    for path in sorted(package.rglob('*.py')):
        parts = path.relative_to(package).with_suffix('').parts
        if parts[0] == 'compat' or any(part.startswith('_') and part != '__init__' for part in parts):
            continue
        name = '.'.join(('decur', *(part for part in parts if part != '__init__')))
        if len(parts) == 1:
            found.setdefault('decur', []).append(name)
        elif parts[-1] != '__init__' and _has_public(path):
            found.setdefault(f'decur.{parts[0]}', []).append(name)
    return found


def _has_public(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding='utf-8')).body
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith('_') for node in body)


def api_page(title: str, names: list) -> str:
    """Markdown of a page of the reference."""
    listed = '\n\n'.join(f'::: {name}' for name in names)
    return f'# `{title}`\n\n{listed}\n'


def on_config(config):
    """Put the API reference, and pages that no menu names, into the menus."""
    for entry in config.nav:
        if 'API' in entry:
            entry['API'] = [{name: f'api/{name}.md'} for name in modules()]
        if REST in entry:
            named = set(re.findall(r'[\w/]+\.md', str(config.nav)))
            entry[REST] += [page for page in sorted(path.name for path in Path(config.docs_dir).glob('*.md')) if page not in named]
    return config


def on_files(files, config):
    """Add the pages that are made."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=moved((ROOT / source).read_text(encoding='utf-8'), source, page)))
    for name, listed in modules().items():
        files.append(File.generated(config, f'api/{name}.md', content=api_page(name, listed)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links of a document of ``docs`` that lead out of it."""
    if page.file.src_uri == 'index.md':
        page.meta['hide'] = ['navigation']  # the menu of the front page would be the front page
    if page.file.src_uri in PAGES.values() or page.file.src_uri.startswith('api/'):
        return markdown
    return moved(markdown, f'docs/{page.file.src_uri}', page.file.src_uri)


def on_page_content(html, page, config, files):
    """Columns of tables that hold sentences say so, and are not squeezed to a word a line on a telephone (site.css)."""
    return _TABLE.sub(lambda match: _with_wide_columns(match[0]), html)


def _with_wide_columns(table: str) -> str:
    rows = [[re.sub(r'<[^>]+>', '', cell) for cell in _CELL.findall(row)] for row in re.findall(r'<tr>(.*?)</tr>', table, re.S)]
    width = {}
    for row in rows[1:]:
        for column, cell in enumerate(row):
            width[column] = max(width.get(column, 0), len(cell))
    kinds = ['sentences' if width.get(column, 0) > 60 else 'words' if width.get(column, 0) > 20 else '' for column in range(len(rows[0]))]

    def row(match):
        columns = iter(kinds)
        return re.sub(r'<(t[hd])', lambda cell: f'<{cell[1]} class="{kind}"' if (kind := next(columns, '')) else cell[0], match[0])

    return re.sub(r'<tr>.*?</tr>', row, table, flags=re.S)


def moved(text: str, source: str, page: str) -> str:
    """A document whose links are those of the site.

    Args:
        text (str): Markdown.
        source (str): Where it is in the repository.
        page (str): Where it is in the site.
    """
    def link(match):
        picture, words, target = match.groups()
        if re.match(r'[a-z]+:|#', target):
            return match[0]
        path, hash_, anchor = target.partition('#')
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if not (ROOT / path).exists():
            return match[0]  # the build reports it
        inside = PAGES.get(path) or (path.removeprefix('docs/') if re.match(r'docs/.*\.(md|png|svg|ipynb)$', path) else None)
        if inside is None:
            return words
        address = posixpath.relpath(inside, posixpath.dirname(page) or '.')
        if picture:
            return f'[![{words}]({address})]({address})'  # in its full size, for a telephone
        return f'[{words}]({address}{hash_}{anchor})'

    # GitHub begins a table at its first line, wherever that stands; Python's Markdown after an empty one.
    text = re.sub(r'^((?!\|).*\S.*)\n(?=\|)', r'\1\n\n', text, flags=re.M)
    text = text.replace('<details>', '<details markdown="1">')  # and leaves what is in HTML as it is, unless told
    parts = _CODE.split(text)
    return ''.join(part if number % 2 else _LINK.sub(link, part) for number, part in enumerate(parts))


try:
    import griffe
except ImportError:  # of the build alone
    pass
else:
    class RestructuredText(griffe.Extension):
        """Roles of reStructuredText in docstrings as Markdown: ``:class:`~decur.models.Stream``` becomes a code word."""

        def on_object(self, *, obj, **kwargs) -> None:
            """Rewrite the docstring of an object."""
            if obj.docstring:
                obj.docstring.value = markdown_of(obj.docstring.value)


def markdown_of(docstring: str) -> str:
    """Roles and double backticks as Markdown."""
    text = re.sub(r':\w+:`~([^`]*?)([^.`]+)`', r'`\2`', docstring)
    text = re.sub(r':\w+:`([^`]+)`', r'`\1`', text)
    return re.sub(r'``([^`]+)``', r'`\1`', text)
