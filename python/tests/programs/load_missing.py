"""A library that rank 1 cannot have: all fail, and the error is an OSError that names it."""

import ctypes
import sys

from here import failure_of, rank, tell

import dlcast

error = failure_of(lambda: dlcast.load_global(sys.argv[2 if rank == 1 else 1]))
report = dlcast.sync()
tell(
    failing=[f.rank for f in error.failures],
    message=error.failures[0].message,
    oserror=isinstance(error, OSError),
    visible=hasattr(ctypes.CDLL(None), "answer"),
    rounds=report.rounds,
)
