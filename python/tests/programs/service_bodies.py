"""What bodies may do and may not, when a rank asks for them while the main threads of others are busy."""

import ctypes
import sys
import threading
import time

from here import comm, failure_of, rank, tell

import dlcast

dlcast.attach(mode="service", timeout=20)
told = {}


def failing(name):
    error = failure_of(lambda: dlcast.import_global(name))
    return [[failure.rank, failure.phase, failure.message] for failure in error.failures]


if rank == 0:
    told["signals"] = failing("signals")
    told["raises"] = failing("raises")
    told["leaves"] = failing("leaves")
    told["slow"] = dlcast.import_global("slow").__name__
    comm.Barrier()
    begun = time.monotonic()
    # Rank 1 holds the GIL, rank 2 computes, rank 3 waits for a message and for no other.
    told["busy"] = dlcast.import_global("busy").__name__
    told["seconds"] = time.monotonic() - begun
    comm.send("go on", dest=3)
    told["next"] = dlcast.import_global("good").__name__
else:
    comm.Barrier()
    if rank == 1:
        ctypes.PyDLL(None).usleep(900_000)
        ctypes.PyDLL(None).usleep(900_000)
        ctypes.PyDLL(None).usleep(900_000)
    elif rank == 2:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            sum(range(1000))
    elif rank == 3:
        told["received"] = comm.recv(source=0)
comm.Barrier()
told["thread"] = sys.modules["busy"].thread
told["main"] = threading.main_thread().name
told["has"] = [name in sys.modules for name in ("signals", "raises", "leaves", "slow", "busy", "good")]
tell(**told)
