"""Install the project as the package ``decur``; what it is and needs stands in pyproject.toml.

Here is only what cannot stand there: the configs and the tools go into the package, where OpenMMLab's ``mim`` looks for them
(``decur/.mim``), and the README goes to the package index without what only a checkout can show.
"""
import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
#: What goes along, by its name in the checkout and in ``decur/.mim``.
SHIPPED = ('configs', 'tools', 'model-index.yml')


class BuildWithConfigs(build_py):
    """Build the package with its configs and tools: a copy in a wheel, links to the checkout in an editable installation."""

    def run(self):
        """Build."""
        super().run()
        base = ROOT / 'projects' if self.editable_mode else Path(self.build_lib)
        folder = base / 'decur' / '.mim'
        folder.mkdir(parents=True, exist_ok=True)
        for name in SHIPPED:
            place(ROOT / name, folder / name, self.editable_mode)


def place(source: Path, target: Path, link: bool) -> None:
    """Copy a file or a folder, or link to it where the system allows that; what was there before goes."""
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)
    if link:
        try:
            target.symlink_to(source, target_is_directory=source.is_dir())
            return
        except OSError:  # Windows without the right to make links
            pass
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
    else:
        shutil.copy2(source, target)


def index_readme() -> str:
    """The README for a package index, which has neither the checkout's pictures nor its files: links into it become plain words."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    text = re.sub(r'^!\[[^]]*\]\((?!https?:)[^)]*\)\n+', '', text, flags=re.M)
    return re.sub(r'(?<!!)\[([^]]+)\]\((?!https?:|#)[^)]*\)', r'\1', text)


setup(cmdclass=dict(build_py=BuildWithConfigs), long_description=index_readme(), long_description_content_type='text/markdown')
