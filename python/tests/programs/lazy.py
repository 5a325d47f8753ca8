"""A function that is nowhere does no harm until it is called, where lazy binding is asked for."""

import ctypes
import os
import sys

from here import failure_of, rank, tell

import dlcast

library = sys.argv[1]
at_once = str(failure_of(lambda: dlcast.load_global(library)))
with dlcast.record():
    if rank == 0:
        ctypes.CDLL(library, os.RTLD_LAZY)
recorded = len(dlcast.sync().committed)
loaded = dlcast.load_global(library, os.RTLD_LAZY)._name == library
tell(recorded=recorded, loaded=loaded, at_once=at_once)
