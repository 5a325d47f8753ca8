"""venvstacks, which takes the Python that it runs in for a runtime where it would download one."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from venvstacks import cli, stacks

NAME = f"python{sys.version_info[0]}.{sys.version_info[1]}"
# Of the standard library, what no layer needs. Of a distribution's Python, a sitecustomize would come before
# those of the layers, and the mark that it is managed elsewhere would keep venvstacks out.
LEFT_OUT = (
    "*-packages",
    "EXTERNALLY-MANAGED",
    "__pycache__",
    "config-*",
    "idlelib",
    "sitecustomize.py",
    "test",
)


def install(folder: Path, request: str) -> Path:
    """In place of the download: an installation, which may be moved, as those that venvstacks downloads."""
    made = folder / request
    binary = made / "bin" / NAME
    binary.parent.mkdir(parents=True)
    shutil.copy2(Path(sys._base_executable).resolve(), binary)
    for link in ("python", "python3"):
        binary.with_name(link).symlink_to(NAME)
    library = made / "lib" / NAME
    shutil.copytree(Path(os.__file__).parent, library, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (library / "site-packages").mkdir()
    (made / "include").mkdir()
    return made


assert callable(stacks._pdm_python_install)
stacks._pdm_python_install = install
cli.main(sys.argv[1:])
