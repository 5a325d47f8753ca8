"""Libraries find each other across the layers of a stack, without a wrapper and without a variable.

Importing this module loads neither MPI nor libdlcast.so.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

from dlcast import _importer, _native, _plan, _session
from dlcast._errors import GlobalCallbackError, LayersError
from dlcast._first import first

__all__ = ["LayersError", "activate"]

# How often this process has begun to plan a stack: what has failed once is another attempt the next time.
_attempts: dict[bytes, int] = {}


def activate(
    stack: str | bytes | os.PathLike[Any], *, comm: Any = None, timeout: float | None = None
) -> None:
    """From now on, what Python opens finds the libraries that it needs in the layers of a stack.

    `stack` is a stack.toml, a venvstacks.toml, or a folder that holds one of them. Before an extension module
    or a library (ctypes) is opened, what it needs and ld.so would not find, or would take from the host
    though a layer has it, is opened from the layers. What an object finds by itself is left to it, and so is
    what LD_LIBRARY_PATH gives. Nothing is inherited by children.

    Where MPI is up, this is collective, as `dlcast.register_global` is: rank 0 makes the plan, and the others
    do no searching. Every rank names the same stack: one that only some name counts on all, and each rank is
    told what became of its own. Before that, which is where a program that takes MPI itself from a layer has
    to call it, it is local: each process makes its own. LayersError says what is wrong with the stack, the
    same on every rank.

    Several stacks add up; where two have a name, the one that was activated last goes first.
    """
    path = os.path.abspath(os.fsencode(stack))
    if not (comm is not None or _session._attached or _mpi_is_up()):
        _use(_plan.make(os.fsdecode(path)))
        return
    _session._refuse_to_wait("dlcast.layers.activate")
    session = _session._attach(comm, None, timeout)
    try:
        session.register_global(_make, path, _attempts.get(path, 0), timeout=timeout)
    except GlobalCallbackError as error:
        raise LayersError(_without_callbacks(path, error), failures=error.failures) from None


def _make(stack: bytes, tag: int) -> None:
    """A callback on every rank, of which rank 0 plans; the plan is a callback of its own."""
    _attempts[stack] = tag + 1
    owner = _importer.owner()
    if isinstance(owner, _session.Session) and owner.rank == 0:
        owner.register_global(_take, b"\0".join((stack, _plan.make(os.fsdecode(stack)).encode())), tag)


def _take(stack_and_plan: bytes, tag: int) -> None:
    """A callback on every rank: the plan is there."""
    stack, _, plan = stack_and_plan.partition(b"\0")
    # Planning has not failed, and need not be done again.
    _attempts[stack] = tag
    _use(plan.decode())


def _use(text: str) -> None:
    first.add(_plan.Plan.read(text))
    _native.install(text)


def _without_callbacks(stack: bytes, error: GlobalCallbackError) -> str:
    """That callbacks carry it is no news to whoever reads what is wrong with a stack."""
    prefix = f"{LayersError.__module__}.{LayersError.__qualname__}: "
    for failure in error.failures:
        # Who comes later is told that it had failed before.
        _, found, text = failure.message.partition(prefix)
        if found:
            return text
    return f"{os.fsdecode(stack)}: {error}"


def _mpi_is_up() -> bool:
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and hasattr(mpi, "Is_initialized"):
        return bool(mpi.Is_initialized() and not mpi.Is_finalized())
    # Python may run in a program that has brought MPI along.
    flag = ctypes.c_int(0)
    try:
        initialized = ctypes.CDLL(None).MPI_Initialized
    except AttributeError:
        return False
    initialized(ctypes.byref(flag))
    return bool(flag.value)
