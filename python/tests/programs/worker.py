"""A caller in C imports: the thread that Python made does it, and parks what is undone."""

import sys

from here import lacking, tell

import dlcast
from dlcast._native import native

library = native()
session = library.attach(library.lib.DLCAST_COMM_WORLD, -1, -1.0)


def import_from_c(name):
    return library.lib.dlcast_import_global(session, name.encode(), 20.0)


without = import_from_c("good")
with dlcast.serve_imports():
    with lacking("wanted", on=1):
        undone = import_from_c("wanted")
    gone = "wanted" not in sys.modules
    done = import_from_c("wanted")
    # The worker is between two jobs most of the time.
    often = sum(import_from_c("good") for _ in range(200))
tell(
    without=without,
    undone=undone,
    gone=gone,
    done=done,
    often=often,
    runs=sys.modules["wanted"].counter.runs,
    thread=sys.modules["wanted"].thread,
)
dlcast.serve_imports()  # And one that nobody stops: the program has to end well.
