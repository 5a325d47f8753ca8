"""Activates a stack when MPI is up, and tells who has planned."""

import sys

from here import comm, rank, tell

import dlcast.layers
from dlcast import _plan

plans = 0
make = _plan.make


def counted(stack):
    global plans
    plans += 1
    return make(stack)


_plan.make = counted
stack, mode = sys.argv[1:]
session = dlcast.attach(mode="service" if mode == "one" else mode)
try:
    # In service mode one rank asks, and it is done everywhere when that call returns.
    if mode != "one" or rank == 2:
        dlcast.layers.activate(stack)
    if mode == "one":
        comm.barrier()
except dlcast.layers.LayersError as error:
    tell(error=str(error), failures=[[failure.rank, str(error)] for failure in error.failures])
    sys.exit()
import native  # noqa: E402

# The library opens what it is asked for by its own hand.
found = dlcast.load_global("libextra.so.1").extra() if mode == "collective" else None
tell(
    plans=plans,
    answer=native.answer(),
    found=found,
    again=None if mode == "one" else dlcast.layers.activate(stack),
)
