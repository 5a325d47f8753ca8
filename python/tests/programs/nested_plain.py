"""A plain import on rank 0, before any session, asks for a module: the next round takes it everywhere."""

import sys

from here import rank, tell

import dlcast

if rank == 0:
    import asks  # noqa: F401
report = dlcast.sync()
committed = [item.name for item in report.committed]
tell(committed=committed, inner="inner" in sys.modules, asks="asks" in sys.modules)
