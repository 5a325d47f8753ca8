"""A module that asks for another one is imported: on one rank, on all, or by import_global."""

import sys

from here import rank, tell

import dlcast

who, session = sys.argv[1:]
if session == "attached":
    dlcast.attach()
if who == "global":
    dlcast.import_global("asks")
elif who == "all" or rank == 1:
    import asks  # noqa: F401
everywhere = "inner" in sys.modules
report = dlcast.sync()
tell(
    asks="asks" in sys.modules,
    everywhere=everywhere,
    inner="inner" in sys.modules,
    runs=sys.modules["counter"].runs,
    undone=len(report.undone),
)
