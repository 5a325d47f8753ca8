"""How a program may end in service mode. Argument: how."""

import sys
import threading
import time

from here import MPI, comm, rank, size, tell

import dlcast

how = sys.argv[1]
dlcast.attach(mode="service", timeout=60)
if rank == 0 and how != "early":
    dlcast.import_global("good")
comm.Barrier()
if how == "finalize":
    MPI.Finalize()
    tell(good="good" in sys.modules)
elif how == "leaves":
    # The first one asks after the others have said goodbye, and are about to finalise.
    if rank == 0:
        time.sleep(0.5)
        dlcast.import_global("wanted")
    dlcast.leave()
    try:
        dlcast.import_global("good")
        raise AssertionError("called after the goodbye")
    except dlcast.SessionError as error:
        tell(good="goodbye" in str(error), wanted="wanted" in sys.modules)
    MPI.Finalize()
elif how == "exit":
    tell(good="good" in sys.modules)
    sys.exit(0)
elif how == "status":
    # All together: a launcher ends a job when its first rank ends badly.
    tell(good="good" in sys.modules)
    sys.exit(3)
elif how == "raises":
    if rank == 1:
        raise RuntimeError("rank 1 has had enough")
    tell(good="good" in sys.modules)
elif how == "raises_alone":
    if rank == 1:
        raise RuntimeError("rank 1 has had enough")
    comm.recv(source=1)
elif how == "status_alone":
    if rank == 1:
        sys.exit(3)
    comm.recv(source=1)
elif how == "early":
    # The others have nothing more to do, and serve on.
    if rank == size - 1:
        time.sleep(1.5)
        tell(good=dlcast.import_global("good").__name__)
elif how == "thread":
    # A thread that calls until the end, and after it.
    def calls():
        try:
            while True:
                dlcast.import_global("good")
        except dlcast.SessionError:
            pass

    threading.Thread(target=calls, daemon=True).start()
    time.sleep(0.3)
    tell(good="good" in sys.modules)
elif how == "job":
    # The end comes while a body runs elsewhere.
    if rank == 1:
        future = dlcast.import_global("slow", block=False)
        time.sleep(0.2)
    tell(good="good" in sys.modules)
