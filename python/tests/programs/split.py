"""Two halves of a split communicator load for themselves, and do not wait for each other."""

import sys

from here import comm, rank, tell

import dlcast

color = rank % 2
half = comm.Split(color)
session = dlcast.attach(half)
mine = session.import_global(["even", "odd"][color])
again = dlcast.import_global(["even", "odd"][color], comm=half)
if color:
    dlcast.sync(half)
assert mine is again
tell(size=session.size, has=sorted({"even", "odd"} & set(sys.modules)))
