"""Where the files lie that come with the package: ``templates/`` and ``schemas/``.

A wheel has them inside the package; a checkout, and so an editable install, has them beside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folders(kind: str) -> tuple[Path, ...]:
    """Return the folders that may hold files of *kind* (``templates``, ``schemas``), the first one to go first."""
    return (_PACKAGE / kind, _PACKAGE.parent / kind)


def find(path: str) -> Path:
    """Return where the file *path* lies, ``templates/config/native.yaml``.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    kind, _, rest = path.partition("/")
    for folder in folders(kind):
        file = folder / rest
        if file.is_file():
            return file
    raise FileNotFoundError(f"this installation of modelgrid has no {path}")


def read_text(path: str) -> str:
    """Return the content of the file *path*.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    return find(path).read_text(encoding="utf-8")
