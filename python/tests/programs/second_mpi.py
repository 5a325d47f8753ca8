"""Two MPIs meet in one process, in the order that the arguments name; dlcast says so, with both files."""

import ctypes
import os
import sys

import mpi4py

import dlcast

mpi4py.rc.initialize = False
first, second = sys.argv[1:]


def bring(what: str) -> None:
    if what.startswith("mpi4py="):
        os.environ.pop("MPI4PY_MPIABI", None)
        os.environ["MPI4PY_LIBMPI"] = what.removeprefix("mpi4py=")
        from mpi4py import MPI  # noqa: F401
    else:
        ctypes.CDLL(what, ctypes.RTLD_LOCAL)


bring(first)
bring(second)
try:
    dlcast.attach()
except dlcast.SessionError as error:
    print(error)
