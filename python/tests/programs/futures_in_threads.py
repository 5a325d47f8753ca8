"""Three threads of rank 0 wait for one future: one round of the others decides it for all of them."""

import threading

from here import rank, tell

import dlcast

results = []


def wait(future):
    try:
        results.append(future.result(20).__name__)
    except Exception as error:
        results.append(repr(error))


if rank == 0:
    asked = dlcast.import_global("good", block=False)
    threads = [threading.Thread(target=wait, args=[asked]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
else:
    dlcast.sync(timeout=20)
tell(results=results, next=dlcast.import_global("other").__name__)
