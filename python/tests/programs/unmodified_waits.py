"""Knows nothing of dlcast: says whether a module comes from elsewhere in time, and what else has changed."""

import json
import os
import sys
import time

from mpi4py import MPI

names = set(globals())
end = time.monotonic() + float(sys.argv[2])
while not hasattr(sys.modules.get(sys.argv[1]), "thread") and time.monotonic() < end:
    time.sleep(0.01)
module = sys.modules.get(sys.argv[1])
facts = {
    "came": module is not None,
    "runs": sys.modules["counter"].runs if module else 0,
    "main_thread": module is not None and module.thread == "MainThread",
    "names": sorted(set(globals()) - names - {"names", "end", "module"}),
}
os.write(1, (json.dumps({"rank": MPI.COMM_WORLD.rank, **facts}) + "\n").encode())
MPI.COMM_WORLD.Barrier()
