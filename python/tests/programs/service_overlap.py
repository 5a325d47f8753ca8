"""Imports on the worker that meet imports of the program's own threads."""

import sys
import time

from here import comm, failure_of, rank, tell

import dlcast

session = dlcast.attach(mode="service", timeout=6)
told = {}
comm.Barrier()
if rank == 0:
    told["package"] = dlcast.import_global("pk.one").__name__
elif rank == 1:
    # The worker is in the body of `pk.one`, which needs `pk.two`; this thread goes the other way.
    time.sleep(0.4)
    import pk.two

    told["two"] = pk.two.__name__
comm.Barrier()
if rank == 0:
    comm.Barrier()
    begun = time.monotonic()
    error = failure_of(lambda: dlcast.import_global("blocked"))
    told["seconds"] = time.monotonic() - begun
    told["blocked"] = [[failure.rank, failure.phase] for failure in error.failures]
    told["text"] = str(error)
    comm.send("go on", dest=1)
    comm.Barrier()
    # The worker of rank 1 is free again.
    told["good"] = dlcast.import_global("good").__name__
    told["again"] = dlcast.import_global("blocked").__name__
elif rank == 1:
    # A body that waits for a message: it says that it is there, and then receives.
    import blocked

    told["message"] = blocked.message
    comm.Barrier()
else:
    comm.Barrier()
    comm.Barrier()
comm.Barrier()
tell(**told, runs=sys.modules["counter"].runs, has="pk.one" in sys.modules and "pk.two" in sys.modules)
