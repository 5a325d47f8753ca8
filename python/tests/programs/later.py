"""block=False waits for nobody; result() is collective, or needs no round where another call has decided."""

import sys

from here import comm, failure_of, lacking, rank, tell

import dlcast

early = dlcast.import_global("early", block=False)
undecided = not early.done() and "early" not in sys.modules
comm.Barrier()
waited = early.result() is sys.modules["early"]
solely = dlcast.import_global("solely", block=False) if rank == 0 else None
bad = dlcast.import_global("bad", block=False)
with lacking("bad", on=1):
    report = dlcast.sync()
assert solely is None or (solely.done() and solely.result() is sys.modules["solely"])
error = failure_of(bad.result)
tell(
    undecided=undecided,
    waited=waited,
    solely="solely" in sys.modules,
    report=bool(report),
    failing=[f.rank for f in error.failures],
    done=bad.done(),
)
