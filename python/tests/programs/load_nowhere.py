"""Rank 1 names a file that is nowhere: it alone is told, and the library of the others is everywhere."""

import sys

from here import rank, tell

import dlcast

try:
    dlcast.load_global(sys.argv[1] + (".gone" if rank == 1 else ""))
    failed = False
except dlcast.GlobalLoadError:
    failed = True
tell(failed=failed, next=dlcast.load_global(sys.argv[1]).answer())
