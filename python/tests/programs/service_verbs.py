"""One rank calls, from any thread; the others are in MPI. Arguments: a library, who sets the mode."""

import ctypes
import os
import sys
import threading
import time
import warnings

from here import comm, failure_of, lacking, rank, size, tell

import dlcast

path, way = sys.argv[1:]
session = dlcast.attach(mode="service", timeout=30) if way == "attach" else dlcast.attach()
runs = []


def note(payload, tag):
    runs.append([payload.decode(), tag, threading.current_thread() is threading.main_thread()])


def visible():
    try:
        ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
    except OSError:
        return False
    return True


def wait_for(condition):
    """A rank that is not waited for may be a little later."""
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


caller = min(1, size - 1)
told = {}
with lacking("wanted", on=size - 1):
    if rank == caller:
        warnings.simplefilter("error")
        told["good"] = dlcast.import_global("good").__name__
        told["failing"] = [
            failure.rank for failure in failure_of(lambda: dlcast.import_global("wanted")).failures
        ]
        told["answer"] = dlcast.load_global(path).answer()
        dlcast.register_global(note, b"once", 1)
        names = [f"threaded{number}" for number in range(4)]
        threads = [threading.Thread(target=dlcast.import_global, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        future = session.import_global("promised", block=False)
        bad = session.import_global("nowhere_to_be_found", block=False)
        told["promised"] = future.result(timeout=20).__name__
        told["done"] = future.done()
        told["bad"] = type(bad.exception(20)).__name__
        with dlcast.record():
            import recorded  # noqa: F401
        told["tasks"] = len(dlcast.tasks())
        try:
            dlcast.unload_global("libnowhere.so")
        except dlcast.GlobalLoadError:
            told["unload"] = True
        try:
            session.import_global("good", timeout=-1)
        except ValueError:
            told["bad_timeout"] = True
        # Undone means invisible, on the caller's rank, too.
        told["gone"] = "wanted" not in sys.modules
    # The main threads of the others are in MPI until all is over.
    comm.Barrier()
names = ["good", "threaded0", "threaded1", "threaded2", "threaded3", "promised", "recorded"]
told["has"] = wait_for(lambda: all(name in sys.modules for name in names))
told["wanted"] = "wanted" in sys.modules
tell(**told, library=visible(), runs=runs, wide=session.size)
