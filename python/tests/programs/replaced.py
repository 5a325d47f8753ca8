"""Rank 0 opens a library that is replaced before the round comes: what it means is gone, and all are told."""

import ctypes
import os
import shutil
import sys

from here import comm, rank, tell

import dlcast

path, old, new = sys.argv[1:]


def put(source):
    # As a build does it: another file in the place of the first.
    shutil.copy(source, f"{path}.new")
    os.rename(f"{path}.new", path)


if rank == 0:
    put(old)
comm.barrier()
with dlcast.record():
    if rank == 0:
        ctypes.CDLL(path)
if rank == 0:
    put(new)
comm.barrier()
report = dlcast.sync()
# Named now, it is the new one that is meant.
library = dlcast.load_global(path)
tell(committed=len(report.committed), undone=[str(item) for item in report.undone], answer=library.answer())
