"""A program that knows nothing of dlcast: `mpirun -n 4 dlcast run -- python examples/unmodified.py LIBRARY`.

Run by `scripts/demo`, with and without `dlcast run`. Rank 0 alone opens a library with plain ctypes. Without
`dlcast run` it exists on that rank alone.
"""

import ctypes
import os
import sys

from mpi4py import MPI

comm = MPI.COMM_WORLD
library = sys.argv[1]


def is_loaded() -> bool:
    """Whether this process has the library already: RTLD_NOLOAD opens nothing."""
    try:
        ctypes.CDLL(library, os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        return False
    return True


before = comm.gather(is_loaded())
if comm.rank == 0:
    ctypes.CDLL(library)
comm.barrier()
after = comm.gather(is_loaded())

if before is not None and after is not None:
    size = comm.size
    print(f"   loaded on {sum(before)} of {size} ranks before rank 0 opened it, on {sum(after)} afterwards")
    if sum(after) not in (1, comm.size):
        sys.exit("a library that some ranks have and others have not")
