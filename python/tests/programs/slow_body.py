"""The body of a module outlasts the deadline on rank 1: nobody keeps the module."""

import sys
import time

from here import rank, tell

import dlcast

dlcast.sync()
begun = time.monotonic()
try:
    dlcast.import_global("slow", timeout=2)
    said = "nothing"
except dlcast.SessionTimeout as error:
    said = str(error)
tell(said=said, kept="slow" in sys.modules, seconds=time.monotonic() - begun, slow=rank == 1)
