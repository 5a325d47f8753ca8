"""An extension module that is a plugin, and needs another one: the tasks of both are on every rank."""

import importlib
import os
import sys

from here import comm, failure_of, rank, tell

import dlcast

how, module = sys.argv[1:]
report = None
if how == "recorded":
    with dlcast.record():
        if rank == 0:
            importlib.import_module(module)
    report = dlcast.sync()
elif how == "fails":
    if rank == 1:
        os.environ["DLCAST_TEST_FAIL"] = "1"
    error = failure_of(lambda: dlcast.import_global(module))
    tell(text=str(error), loaded=module in sys.modules, plugins=list(dlcast.tasks()))
    sys.exit()
else:
    dlcast.import_global(module)
tasks = dlcast.tasks()
tell(
    plugins=sorted(tasks),
    answers=[tasks[name]["answer"]() for name in sorted(tasks)],
    ids=comm.allgather([tasks[name]["answer"].id for name in sorted(tasks)]),
    undone=[item.error for item in report.undone] if report else [],
    module=sys.modules[module].__name__,
)
