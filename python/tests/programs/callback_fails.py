"""A function that raises on rank 2, and one that rank 2 does not have: one error each on every rank."""

from here import failure_of, rank, tell

import dlcast

runs = 0


def fails(payload, tag):
    global runs
    runs += 1
    if rank == 2:
        raise KeyError("on two")


if rank != 2:

    def missing(payload, tag):
        raise AssertionError("not reached on rank 2")


def interrupted(payload, tag):
    if rank == 2:
        raise SystemExit(3)


def works(payload, tag):
    global runs
    runs += 100


first, again = (failure_of(lambda: dlcast.register_global(fails)) for _ in range(2))
code = dlcast.CodeRef.python("__main__", "missing")
lacking = failure_of(lambda: dlcast.register_global(code))
stopped = failure_of(lambda: dlcast.register_global(interrupted))
dlcast.register_global(works)
[failure] = first.failures
tell(
    failing=[[failure.rank, failure.host, failure.phase, failure.message]],
    text=str(first),
    traceback=failure.traceback,
    again=[[failure.rank, failure.message] for failure in again.failures],
    lacking=[[failure.rank, failure.message] for failure in lacking.failures if failure.rank == 2],
    stopped=[[failure.rank, failure.message] for failure in stopped.failures],
    runs=runs,
)
