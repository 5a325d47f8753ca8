"""The only rank with a Python. Argument: a library."""

import sys
import warnings

from here import comm, size, tell

import dlcast

dlcast.attach(mode="service", timeout=60)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    name = dlcast.import_global("_lsprof").__name__
    answer = dlcast.load_global(sys.argv[1]).answer()
report = dlcast.sync()
tell(
    name=name,
    answer=answer,
    warned=[[warning.category.__name__, str(warning.message), warning.filename] for warning in caught],
    own=__file__,
    size=size,
    undone=len(report.undone),
)
comm.Barrier()
