"""Only an intracommunicator is a communicator: anything else is a TypeError that says so."""

from here import MPI, comm, tell

import dlcast

half = comm.Split(comm.rank % 2)
inter = half.Create_intercomm(0, comm, (comm.rank + 1) % 2)
freed = comm.Dup()
freed.Free()
texts = []
for bad in (inter, MPI.COMM_NULL, freed, 3):
    try:
        dlcast.attach(bad)
        texts.append(None)
    except TypeError as error:
        texts.append(str(error))
same = dlcast.attach() is dlcast.attach(comm)
cartesian = dlcast.attach(comm.Create_cart([comm.size])).size
inter.Free()
tell(texts=texts, same=same, cartesian=cartesian)
