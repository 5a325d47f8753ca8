"""Rank 0 asks for a module that nobody can import, rank 1 for a good one: each is told about its own."""

import sys

from here import rank, tell

import dlcast

try:
    dlcast.import_global("bad" if rank == 0 else "good")
    failing = None
except dlcast.GlobalImportError as error:
    failing = [f.rank for f in error.failures]
tell(failing=failing, good="good" in sys.modules, bad="bad" in sys.modules)
