"""Rank 0 alone opens a plugin through ctypes; after sync every rank calls its tasks, until it is unloaded."""

import ctypes
import sys

from here import comm, rank, tell

import dlcast

path, name = sys.argv[1:]
if comm.size > 1 and rank == 1:
    # So that the numbers would differ, if each rank counted for itself.
    ctypes.CDLL(path)
with dlcast.record():
    if rank == 0:
        ctypes.CDLL(path)
report = dlcast.sync()
tasks = dlcast.tasks()
scale = tasks[name]["scale"]


def counts():
    constructed, called = ctypes.c_int32(), ctypes.c_int32()
    tasks[name]["counts"](ctypes.byref(constructed), ctypes.pointer(called))
    return [constructed.value, called.value]


def lost(find):
    try:
        find()
    except KeyError as error:
        return [type(error).__name__, str(error)]


values, scaled = (ctypes.c_double * 3)(1, 2, 3), bytearray(24)
total = scale(values, (ctypes.c_double * 3).from_buffer(scaled), 3, 2)
try:
    scale(values, None, 3, -1)
except dlcast.TaskError as error:
    failed = str(error)
# Named by rank 0, called by all.
code = comm.bcast(dlcast.CodeRef.of(scale) if rank == 0 else None)
before = scale.id
facts = {
    "names": [list(tasks), list(tasks[name]), tasks[name].version, len(tasks[name])],
    "total": [total, list(memoryview(scaled).cast("d"))],
    "failed": failed,
    "by_id": tasks[comm.bcast(before)].name,
    "by_code": code.resolve(signature=scale.signature)(values, values, 3, 1.0),
    "raw": tasks[name]["answer"].cast(ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int))(2),
    "absent": [lost(lambda: tasks["nope"]), lost(lambda: tasks[name]["nope"]), tasks.get(99 << 32)],
    "counts": counts(),
}
unload = dlcast.unload_global if rank % 2 else dlcast.attach().unload_global
unload(path if rank else ctypes.CDLL(path))
stale = lost(lambda: tasks[before])
gone = list(tasks)
try:
    dlcast.unload_global(path)
except dlcast.GlobalLoadError as error:
    twice = len(error.failures)
dlcast.load_global(path)
tell(
    kinds=[item.kind for item in report.committed],
    **facts,
    stale=stale,
    gone=gone,
    twice=twice,
    ids=[before, tasks[name]["scale"].id],
    again=counts(),
    old=lost(lambda: tasks[before]),
)
