"""Rank 1 lacks a module, and later has it: the error names it, nothing runs twice, the next call works."""

import sys

from here import failure_of, lacking, tell

import dlcast

with lacking("wanted", on=1):
    error = failure_of(lambda: dlcast.import_global("wanted"))
gone = "wanted" not in sys.modules
other = dlcast.import_global("other")
wanted = dlcast.import_global("wanted")
tell(
    failing=[[f.rank, f.host, f.phase, f.message] for f in error.failures],
    traceback=error.failures[0].traceback,
    name=error.name,
    text=str(error),
    gone=gone,
    dependency="dependency" in sys.modules,
    other=other.__name__,
    runs=wanted.counter.runs,
)
