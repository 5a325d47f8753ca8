"""Rank 1 does not come: the others are told within the deadline, by name, and at once from then on."""

import time

from here import comm, rank, tell

import dlcast

dlcast.attach()
begun = time.monotonic()
first = second = None
if rank == 1:
    time.sleep(8)
    begun = time.monotonic()
try:
    dlcast.import_global("good", timeout=5)
except dlcast.SessionError as error:
    first = [type(error).__name__, str(error)]
waited = time.monotonic() - begun
begun = time.monotonic()
try:
    dlcast.sync()
except dlcast.SessionError as error:
    second = [type(error).__name__, str(error)]
tell(first=first, waited=waited, second=second, at_once=time.monotonic() - begun < 0.5)
comm.Barrier()
