"""What rank 0 alone opens and imports in a block, every rank has after sync."""

import ctypes
import sys

from here import rank, tell

import dlcast

dlcast.attach()
if rank == 0:
    with dlcast.record():
        ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)
        import recorded  # noqa: F401
report = dlcast.sync()
tell(
    committed=sorted((item.kind, item.name) for item in report.committed),
    undone=[str(item) for item in report.undone],
    asked=sorted({asker for item in report.committed for asker in item.ranks}),
    visible=hasattr(ctypes.CDLL(None), "answer"),
    imported="recorded" in sys.modules,
    again=dlcast.sync().rounds,
)
