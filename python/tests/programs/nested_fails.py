"""A module whose body asks for one that rank 1 lacks: the outer one fails, with the body's traceback."""

import sys

from here import failure_of, lacking, tell

import dlcast

with lacking("inner", on=1):
    error = failure_of(lambda: dlcast.import_global("asks"))
tell(
    name=error.name,
    failing=[f.rank for f in error.failures],
    traceback=error.failures[0].traceback,
    gone="asks" not in sys.modules,
)
