"""What C opens in a block on rank 0 every rank has after sync; an extension module travels as a module."""

import ctypes
import sys

from here import rank, tell

import dlcast

opener, wanted = sys.argv[1:]
session = dlcast.attach()
extension = "_lsprof"
assert extension not in sys.modules
if rank == 0:
    library = ctypes.CDLL(opener)
    with session.record():
        assert library.open_it(wanted.encode())
        __import__(extension)
report = session.sync()
with open("/proc/self/maps") as maps:
    mapped = wanted in maps.read()
kinds = sorted((item.kind, item.name) for item in report.committed)
tell(kinds=kinds, undone=len(report.undone), mapped=mapped, imported=extension in sys.modules)
