"""OpenMP's runtime for the embedded engine, on hosts that lack it.

The wheels of ``xllamacpp`` need ``libgomp.so.1`` of the host, which slim images do not have: it comes with a compiler.
Wheels of other packages carry it, under a name of their own. Where the loader does not find the host's, the process
starts itself again with a folder on the loader's path (ld.so(8), LD_LIBRARY_PATH) where theirs has the right name.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

NAME = "libgomp.so.1"

#: A small package whose wheels carry it, for every Linux that ``xllamacpp`` has wheels for. The extra ``local`` has it.
CARRIER = "pykdtree"

#: Where the process that was started again finds the folder, to remove it.
_FOLDER = "MODELGRID_OPENMP_FOLDER"


def carried() -> Path | None:
    """Return the library that an installed package carries; none where there is no such package."""
    try:
        files = metadata.files(CARRIER) or ()
    except metadata.PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.name.startswith("libgomp"))
    return next((path for path in found if path.is_file()), None)


def start_again_with_it() -> None:
    """Replace this process by the same one with the carried library on its path; return where that is no help."""
    library = carried()
    if library is None or _FOLDER in os.environ or sys.platform != "linux":
        return
    folder = tempfile.mkdtemp(prefix="modelgrid-openmp-")
    Path(folder, NAME).symlink_to(library)
    before = os.environ.get("LD_LIBRARY_PATH")
    environment = {
        **os.environ,
        _FOLDER: folder,
        "LD_LIBRARY_PATH": f"{folder}:{before}" if before else folder,
    }
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606  this very program


def clean_up() -> None:
    """Remove the folder once the library is loaded, or could not be."""
    folder = os.environ.pop(_FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
