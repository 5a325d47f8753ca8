"""Rank 1 cannot open a library, for want of one that it needs: all fail, and the error is an OSError."""

import ctypes
import sys

from here import failure_of, rank, tell

import dlcast

path, needed = sys.argv[1:]
if rank != 1:
    # By its SONAME it satisfies what the library needs.
    ctypes.CDLL(needed)
error = failure_of(lambda: dlcast.load_global(path, ctypes.RTLD_GLOBAL))
tell(
    failing=[[f.rank, f.phase] for f in error.failures],
    message=error.failures[0].message,
    oserror=isinstance(error, OSError),
    visible=hasattr(ctypes.CDLL(None), "answer"),
)
