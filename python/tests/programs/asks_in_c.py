"""A callback in C calls what dlcast.h lets it call, and what it must not: what it is answered."""

import ctypes
import sys

from here import comm, tell

import dlcast
from dlcast._native import native

path, plugin = sys.argv[1:]
session = dlcast.attach()
other = comm.Dup()
library = ctypes.CDLL(path)
ctypes.c_int64.in_dll(library, "session").value = session._handle
(ctypes.c_char * 4096).in_dll(library, "library").value = plugin.encode()
ctypes.c_int32.in_dll(library, "other").value = other.py2f()
dlcast.register_global(library.asks)
said = list((ctypes.c_int32 * 6).in_dll(library, "said"))
names = {native().lib.DLCAST_NESTED: "DLCAST_NESTED", native().lib.DLCAST_INVALID: "DLCAST_INVALID"}
tell(
    said=[names.get(status, status) for status in said],
    plugins=list(dlcast.tasks()),
    left=dlcast.sync().rounds,
)
