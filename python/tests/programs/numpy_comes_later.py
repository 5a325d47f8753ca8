"""Rank 1 gets numpy later, and all have it then, though numpy refuses to be imported twice."""

import sys

from here import failure_of, lacking, tell

import dlcast

with lacking("numpy", on=1):
    error = failure_of(lambda: dlcast.import_global("numpy"))
gone = "numpy" not in sys.modules
numpy = dlcast.import_global("numpy")
tell(failing=[f.rank for f in error.failures], gone=gone, total=int(numpy.arange(4).sum()))
