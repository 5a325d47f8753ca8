"""numpy, imported by rank 0 alone in a block, travels as one module, not as its libraries."""

import sys

from here import rank, tell

import dlcast

dlcast.attach()
if rank == 0:
    with dlcast.record():
        import numpy
report = dlcast.sync()
numpy = sys.modules["numpy"]
tell(committed=[[item.kind, item.name] for item in report.committed], total=int(numpy.arange(4).sum()))
