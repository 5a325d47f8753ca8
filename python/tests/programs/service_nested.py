"""Bodies and constructors that ask in turn. Arguments: who imports, and a library whose constructor asks."""

import ctypes
import sys
import time

from here import comm, rank, size, tell

import dlcast

who, library = sys.argv[1:]
session = dlcast.attach(mode="service", timeout=20)
told = {}


def wait_for(*names):
    """Nobody waits for what a body has asked for."""
    end = time.monotonic() + 15
    while not all(name in sys.modules for name in names) and time.monotonic() < end:
        time.sleep(0.01)
    return all(name in sys.modules for name in names)


if who == "bodies":
    # Each in the body of its own module, and all want theirs everywhere: the classical deadlock.
    __import__(f"own{rank}")
    told["has"] = wait_for(*(f"own{other}" for other in range(size)))
    if rank == 0:
        import asks  # noqa: F401
    told["circle"] = wait_for("asks", "inner")
    told["loop"] = True
    if rank == size - 1:
        told["loop"] = dlcast.import_global("asks").back
elif who == "both":
    # A body on one side, a constructor on the other.
    session_handle = session._handle
    if rank == 0:
        __import__("own0")
    elif rank == 1:
        opened = ctypes.CDLL(library)
        told["asked"] = opened.asked()
    told["has"] = wait_for("own0", "own1")
comm.Barrier()
tell(**told, runs=sys.modules["counter"].runs)
