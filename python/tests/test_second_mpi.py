"""Another MPI in the process than the one that dlcast was built with is refused with both files named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import job
import pytest

from dlcast import _native

SECOND = Path(sys.prefix) / "second-mpi" / "lib" / "libmpi.so.40"


def built_with() -> str:
    """The MPI of this dlcast."""
    native = _native.native()
    return str(native._ffi.string(native.lib.dlcast_mpi()), errors="replace")


pytestmark = pytest.mark.skipif(
    not SECOND.exists() or not built_with().startswith("Open MPI 4."),
    reason="needs a dlcast for Open MPI 4 and, from scripts/setup, another MPI beside it",
)


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A library that is linked to the system's MPI."""
    source = tmp_path / "uses.c"
    source.write_text(
        "#include <mpi.h>\nint size(void) { int n; MPI_Comm_size(MPI_COMM_WORLD, &n); return n; }\n"
    )
    library = tmp_path / "libuses.so"
    subprocess.run(["mpicc", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


@pytest.mark.parametrize("mpi4py_first", [True, False], ids=["mpi4py first", "library first"])
def test_a_library_of_one_mpi_and_mpi4py_of_another(linked: Path, mpi4py_first: bool) -> None:
    order = [f"mpi4py={SECOND}", str(linked)]
    if not mpi4py_first:
        order.reverse()
    # mpi4py takes an MPI that is visible to all: the library's is not, so mpi4py brings its own.
    program = str(job.PROGRAMS / "second_mpi.py")
    said = job.launch([sys.executable, program, *order], None, {}).output
    assert "this dlcast was built with Open MPI 4" in said, said
    assert str(SECOND) in said, said
    assert f"{built_with()} (/" in said, said
