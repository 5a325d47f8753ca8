"""Rank 1 never makes its first call: the others' first call has a deadline, too."""

import time

from here import comm, rank, tell

import dlcast

caught = None
begun = time.monotonic()
if rank != 1:
    try:
        dlcast.import_global("good", timeout=3)
    except dlcast.SessionTimeout as error:
        caught = str(error)
tell(caught=caught, waited=time.monotonic() - begun)
comm.Barrier()
