"""After MPI_Finalize a call says so, with a session from before and without one."""

import sys

from here import MPI, comm, tell

import dlcast

before = dlcast.attach() if sys.argv[1] == "attached" else None
duplicate = comm.Dup()
MPI.Finalize()
texts = []
for target in (before, None, duplicate):
    try:
        dlcast.import_global("good", comm=target)
        texts.append(None)
    except dlcast.SessionError as error:
        texts.append(str(error))
tell(texts=texts)
