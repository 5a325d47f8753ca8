"""A static function that rank 1 names by its address is called on every rank, and run as a callback."""

import ctypes
import sys

from here import comm, failure_of, rank, tell

import dlcast

path = sys.argv[1]
codes = None
if rank == 1:
    library = ctypes.CDLL(path)
    library.hidden.restype = ctypes.CFUNCTYPE(ctypes.c_int)
    library.noted.restype = ctypes.CFUNCTYPE(ctypes.c_int)
    twice = dlcast.CodeRef.of(library.hidden(), b"", "(i32)->i32")
    codes = [
        twice,
        dlcast.CodeRef.of(library.noted()),
        dlcast.CodeRef.symbol(path, "fails"),
        dlcast.CodeRef.library(path),
    ]
twice, noted, fails, alone = comm.bcast(codes, root=1)
session = dlcast.attach()
function = twice.resolve(comm=session, signature="(i32)->i32")
try:
    twice.resolve(signature="(i64)->i64")
except ValueError as error:
    wrong = str(error)
dlcast.register_global(noted, b"abc", 4)
dlcast.register_global(noted, b"abc", 4)
dlcast.register_global(alone)
failure = failure_of(lambda: dlcast.register_global(fails, tag=rank // comm.size))
library = ctypes.CDLL(path)
try:
    dlcast.CodeRef.of(ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 0))
except ValueError as error:
    generated = str(error)
try:
    dlcast.CodeRef.from_bytes(twice.to_bytes()[:-1])
except ValueError as error:
    damaged = str(error)
large = []
for name in (
    lambda payload: dlcast.CodeRef.of(library.fails, payload),
    lambda payload: dlcast.CodeRef.symbol(path, "fails", payload),
    lambda payload: dlcast.CodeRef.python("here", "tell", payload),
):
    try:
        name(bytes((64 << 20) + 1))
    except ValueError as error:
        large.append(str(error))
tell(
    repr=repr(function),
    large=large,
    twice=function(21),
    wrong=wrong,
    notes=library.notes(),
    alone=alone.resolve(),
    failing=[[failure.rank, failure.message] for failure in failure.failures],
    generated=generated,
    damaged=damaged,
    kinds=[code.kind for code in (twice, noted, fails, alone)],
)
