"""A callback asks for a module, a library and a callback that asks for more: done when the call returns."""

import ctypes
import sys

from here import failure_of, rank, tell

import dlcast

path = sys.argv[1]
done, waits = [], []


def first(payload, tag):
    done.append("first")
    # Rank 0 alone: the others hear of it.
    if rank == 0:
        dlcast.import_global("inner")
    assert dlcast.load_global(path, ctypes.RTLD_GLOBAL).answer() == 42
    assert dlcast.register_global(second, payload) is None
    for call in (dlcast.sync, lambda: dlcast.unload_global(path)):
        try:
            call()
        except dlcast.SessionError as error:
            waits.append("inside a callback" in str(error))


def second(payload, tag):
    done.append("second")
    dlcast.register_global(third, payload)


def third(payload, tag):
    done.append(f"third with {payload.decode()}")
    dlcast.register_global(first, payload)


def asks_in_vain(payload, tag):
    if rank == 1:
        dlcast.register_global(fails)


def fails(payload, tag):
    raise OSError("no")


dlcast.register_global(first, b"x")
inner, visible = "inner" in sys.modules, hasattr(ctypes.CDLL(None), "answer")
outer = failure_of(lambda: dlcast.register_global(asks_in_vain))
tell(
    done=done,
    waits=waits,
    inner=inner,
    visible=visible,
    again=dlcast.sync().rounds,
    outer=sorted({failure.message for failure in outer.failures}),
)
