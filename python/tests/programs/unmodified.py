"""Knows nothing of dlcast: rank 0 imports scipy and opens a library by ctypes; the others get a message."""

import ctypes
import json
import os
import sys

from mpi4py import MPI

comm = MPI.COMM_WORLD
word = None
if comm.rank == 0:
    import scipy.linalg

    norm = float(scipy.linalg.norm([3.0, 4.0]))
    word = [norm, ctypes.CDLL(sys.argv[1]).answer()]
word = comm.bcast(word)
with open("/proc/self/maps") as maps:
    mapped = maps.read()
facts = {
    "word": word,
    "library": os.path.realpath(sys.argv[1]) in mapped,
    "scipy": "scipy" in sys.modules,
    "extension": "/scipy/" in mapped,
    "dlcast": sorted(name for name in sys.modules if name.startswith("dlcast")),
}
os.write(1, (json.dumps({"rank": comm.rank, **facts}) + "\n").encode())
if len(sys.argv) > 2:
    sys.exit(int(sys.argv[2]))
