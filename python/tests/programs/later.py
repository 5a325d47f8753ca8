"""block=False waits for nobody; result() is collective, or needs no round where another call has decided."""

import sys

from here import comm, failure_of, lacking, rank, tell

import dlcast

early = dlcast.import_global("early", block=False)
undecided = not early.done() and "early" not in sys.modules
comm.Barrier()
waited = early.result() is sys.modules["early"]
alone = dlcast.import_global("alone", block=False) if rank == 0 else None
bad = dlcast.import_global("bad", block=False)
with lacking("bad", on=1):
    report = dlcast.sync()
assert alone is None or (alone.done() and alone.result() is sys.modules["alone"])
error = failure_of(bad.result)
tell(
    undecided=undecided,
    waited=waited,
    alone="alone" in sys.modules,
    report=bool(report),
    failing=[f.rank for f in error.failures],
    done=bad.done(),
)
