"""Rank 1 passes no module: it alone is told, and the good request of the others succeeds everywhere."""

import sys

from here import rank, tell

import dlcast

try:
    dlcast.import_global(3 if rank == 1 else "good")
    caught = None
except TypeError as error:
    caught = str(error)
tell(caught=caught, good="good" in sys.modules, next=dlcast.import_global("other").__name__)
