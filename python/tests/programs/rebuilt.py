"""A library and a module fail on rank 1, are mended, and asked for again: every rank has the mended ones."""

import ctypes
import os
import shutil
import sys
from pathlib import Path

from here import comm, failure_of, rank, tell

import dlcast

path, provider, needy, mended = sys.argv[1:]
source = Path(path).with_name("mv.py")
sys.path.insert(0, str(source.parent))


def put(library, text):
    # As a build does it: another file in the place of the first.
    if rank == 0:
        shutil.copy(library, f"{path}.new")
        os.rename(f"{path}.new", path)
        source.write_text(text)
    comm.barrier()


if rank == 0:
    # What rank 1 lacks.
    ctypes.CDLL(provider, ctypes.RTLD_GLOBAL)
put(needy, "from mpi4py import MPI\nassert MPI.COMM_WORLD.rank != 1\nVER = 1\n")
failing = [failure_of(lambda: dlcast.load_global(path)), failure_of(lambda: dlcast.import_global("mv"))]
put(mended, "VER = 2  # mended\n")
tell(
    failing=[failure.rank for error in failing for failure in error.failures],
    library=dlcast.load_global(path).answer(),
    module=dlcast.import_global("mv").VER,
)
