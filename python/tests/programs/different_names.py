"""Rank 0 asks for one module and rank 1 for another: both have both."""

import sys

from here import rank, tell

import dlcast

mine = dlcast.import_global("one" if rank == 0 else "two")
tell(mine=mine.__name__, both={"one", "two"} <= set(sys.modules))
