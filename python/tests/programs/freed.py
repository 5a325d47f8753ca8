"""A session goes with its communicator, and a new communicator gets a new one."""

from here import comm, tell

import dlcast

duplicate = comm.Dup()
session = dlcast.attach(duplicate)
duplicate.Free()
try:
    session.sync()
    text = None
except dlcast.SessionError as error:
    text = str(error)
again = dlcast.import_global("good", comm=comm.Dup()).__name__
tell(text=text, again=again)
