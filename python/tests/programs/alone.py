"""One process without mpirun does everything, with or without mpi4py."""

import json
import sys

if sys.argv[1] == "mpi4py":
    import mpi4py.MPI  # noqa: F401

import dlcast

with dlcast.record():
    import good  # noqa: F401
report = dlcast.sync()
answer = dlcast.load_global(sys.argv[2]).answer()
other = dlcast.import_global("other").__name__
future = dlcast.import_global("third", block=False)
try:
    dlcast.import_global("nowhere_to_be_found")
    failing = None
except dlcast.GlobalImportError as error:
    failing = [f.rank for f in error.failures]
committed = [item.name for item in report.committed]
session = dlcast.attach()
facts = {"answer": answer, "other": other, "third": future.result().__name__, "failing": failing}
print(json.dumps({"rank": session.rank, "size": session.size, "committed": committed, **facts}))
