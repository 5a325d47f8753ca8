"""Pairs of layers with packages from PyPI: one needs libraries of the other."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import environments

import dlcast

# By consumer: what is in the layer of the provider.
PROVIDERS = {
    "mlx": ["mlx-cpu"],
    "mpi4py": ["mpich"],
    "tbb4py": ["tbb", "tcmlib"],
    "librmm-cu12": ["rapids-logger"],
}
# What this dlcast is.
LIBRARY = Path(dlcast.__file__).with_name("_lib") / "libdlcast.so"
_folder = tempfile.TemporaryDirectory(prefix="dlcast-layers-")


@dataclass(frozen=True)
class Pair:
    """Two layers, and their stack."""

    stack: Path
    provider: Path
    consumer: Path

    @property
    def python(self) -> Path:
        """Of the consumer: the wrapper, if they are linked."""
        return self.consumer / "bin" / "python"


@functools.cache
def pair(name: str, *, linked: bool = False) -> Pair:
    """Makes the layers. The consumer's Python sees the modules of the provider, and dlcast."""
    root = Path(_folder.name).resolve() / (f"{name}-linked" if linked else name)
    provider = environments.make(root / "provider", *PROVIDERS[name])
    consumer = environments.make(root / "consumer", name)
    # mlx is in both layers; dlcast comes last, with the packages that it is installed with.
    seen = [provider / environments.PACKAGES, Path(dlcast.__file__).parents[1], *map(Path, sys.path)]
    lines = [str(folder) for folder in seen if folder.is_dir()]
    (consumer / environments.PACKAGES / "seen.pth").write_text("\n".join(lines) + "\n")
    stack = environments.stack(root, "consumer", "provider")
    if linked:
        done = environments.link(stack)
        assert done.returncode == 0, done.stderr
    return Pair(stack, provider, consumer)


def environment() -> dict[str, str]:
    """Without what would change where libraries and modules are found."""
    removed = ("LD_LIBRARY_PATH", "PYTHONPATH", "MPI4PY_MPIABI")
    return {key: value for key, value in os.environ.items() if key not in removed}
