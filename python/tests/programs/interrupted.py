"""Ctrl-C in a body on rank 1: the others are told, and rank 1 has its KeyboardInterrupt after the round."""

from here import rank, tell

import dlcast

try:
    dlcast.import_global("slow")
    caught = None
except dlcast.GlobalImportError as error:
    caught = ["GlobalImportError", [f.rank for f in error.failures], error.failures[0].message]
except KeyboardInterrupt:
    caught = ["KeyboardInterrupt"]
tell(caught=caught, next=dlcast.import_global("good").__name__, rank_of_test=rank)
