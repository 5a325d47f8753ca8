"""Makes an environment of more than 20,000 files and 500 shared objects, the same one every time, from .venv.

Shared objects are copies of those in its wheels. Of other files, which nobody reads, only the names are made,
and those of the caches that pip would compile.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# So often the wheels are there, each time in a folder of their own.
COPIES = 4
LIBRARY = re.compile(r"\.so(\.|$)")


def main() -> None:
    """Makes it, unless it is there: SOURCE is a folder of packages, TARGET the environment."""
    source, target = map(Path, sys.argv[1:])
    files = [path for path in listed(source) if is_of_wheels(path.relative_to(source))]
    made = target / "made"
    wanted = digest(source, files)
    if not made.exists() or made.read_text() != wanted:
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", target], check=True)
        for copy in range(COPIES):
            spread(source, files, next(target.glob("lib/python3*/site-packages")) / f"copy{copy}")
        made.write_text(wanted)
    every = listed(target)
    objects = sum(bool(LIBRARY.search(path.name)) for path in every)
    print(f"tree: {len(every)} files, {objects} of them shared objects by their names; digest {wanted[:16]}")
    if len(every) < 20_000 or objects < 500:
        sys.exit("tree: too small; is .venv whole? scripts/setup makes it")


def listed(folder: Path) -> list[Path]:
    """All files below a folder, in one order everywhere."""
    return sorted(Path(top) / name for top, _, names in os.walk(folder) for name in names)


def is_of_wheels(path: Path) -> bool:
    """Not dlcast itself, which changes, and no caches, which come with use."""
    return not path.parts[0].startswith("dlcast") and "__pycache__" not in path.parts


def spread(source: Path, files: list[Path], target: Path) -> None:
    """Copies the shared objects, and makes the other names."""
    for path in files:
        to = target / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        if LIBRARY.search(path.name):
            shutil.copyfile(path, to)
            continue
        to.touch()
        if path.suffix == ".py":
            cache = to.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc"
            cache.parent.mkdir(exist_ok=True)
            cache.touch()


def digest(source: Path, files: list[Path]) -> str:
    """Of the names, and of the sizes of what is copied."""
    hashed = hashlib.sha256(f"{COPIES} copies\n".encode())
    for path in files:
        size = path.stat().st_size if LIBRARY.search(path.name) else 0
        hashed.update(f"{path.relative_to(source)} {size}\n".encode())
    return hashed.hexdigest()


main()
