"""What callers give, as the library takes it; what makes no sense is an error that names the argument."""

from __future__ import annotations

import ctypes
import math
import numbers
import os
import sys
from types import ModuleType
from typing import Any

from dlcast import _native
from dlcast._errors import SessionError


def module_name(module: object) -> str:
    """A module, or its absolute name, as the name."""
    name = module.__name__ if isinstance(module, ModuleType) else module
    if not isinstance(name, str):
        raise TypeError('"module" arg to "import_global" must be a ModuleType or str type')
    if not name or name.startswith("."):
        raise ValueError(f'"module" arg to "import_global" must be an absolute module name, not {name!r}')
    if not name.isprintable():
        raise ValueError(f'"module" arg to "import_global" is no module name: {name!r}')
    return name


def library_of(
    path: str | bytes | os.PathLike[Any], mode: int, argument: str = '"path" arg to "load_global"'
) -> tuple[bytes, int]:
    """A path and the mode that ctypes takes, as the library takes them."""
    if not isinstance(mode, int):
        raise TypeError(f'"mode" arg to "load_global" must be an int, not {type(mode).__name__}')
    if not 0 <= mode < 1 << 31:
        raise ValueError(f'"mode" arg to "load_global" is no mode of dlopen: {mode:#x}')
    name = os.fsencode(path)
    if not name or b"\0" in name:
        raise ValueError(f"{argument} names no file: {path!r}")
    return name, binding(mode)


def binding(mode: int) -> int:
    """The mode that dlopen gets from ctypes: at once, unless lazily is asked for."""
    return mode & ~os.RTLD_NOW if mode & os.RTLD_LAZY else mode | os.RTLD_NOW


def unloaded(lib: Any) -> bytes:
    """The path by which a library was loaded."""
    name = lib._name if isinstance(lib, ctypes.CDLL) else lib
    if name is None:
        raise ValueError('"lib" arg to "unload_global" is the program itself, not a library')
    return library_of(name, 0, '"lib" arg to "unload_global"')[0]


def key_of(comm: Any) -> int:
    """The number by which the library knows a communicator."""
    if comm is None:
        return int(_native.native().lib.DLCAST_COMM_WORLD)
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None:
        if comm == mpi.COMM_WORLD:
            return key_of(None)
        if isinstance(comm, mpi.Comm) and comm == mpi.COMM_NULL:
            raise TypeError("expecting an intracommunicator, not a null one (COMM_NULL, or freed)")
        if isinstance(comm, mpi.Comm) and not isinstance(comm, mpi.Intracomm):
            raise TypeError(f"expecting an intracommunicator, not {comm!r}")
        # Open MPI aborts the job when py2f is called then.
        if mpi.Is_finalized() or not mpi.Is_initialized():
            state = "has been finalised" if mpi.Is_finalized() else "has not been initialised"
            raise SessionError(f"MPI {state}: no communicator can be used")
    if not hasattr(comm, "py2f"):
        raise TypeError(f"expecting an intracommunicator, not {type(comm).__name__}")
    return int(comm.py2f())


def seconds_of(timeout: float | None) -> float:
    """Negative asks for the default."""
    if timeout is None:
        return -1.0
    if not isinstance(timeout, numbers.Real) or isinstance(timeout, bool):
        raise TypeError(f'"timeout" must be a number of seconds, not {type(timeout).__name__}')
    seconds = float(timeout)
    if math.isnan(seconds) or seconds <= 0:
        raise ValueError(f'"timeout" must be a number of seconds above zero, or inf, not {timeout!r}')
    return seconds


def usable(timeout: float | None) -> float | None:
    """A timeout to take part with: a bad one is raised afterwards."""
    try:
        seconds_of(timeout)
    except Exception:
        return None
    return timeout
