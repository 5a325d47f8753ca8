"""Code that rank 1 cannot name, and bad arguments, are its own affair: nobody waits for it."""

import functools

from here import rank, tell

import dlcast


class Thing:
    """Has a method that needs an object."""

    def method(self, payload, tag):
        pass

    def __call__(self, payload, tag):
        pass


def local():
    def inside(payload, tag):
        pass

    return inside


def plain(payload, tag):
    pass


async def coroutine(payload, tag):
    pass


def generator(payload, tag):
    yield


async def both(payload, tag):
    yield


calls = [
    lambda: dlcast.register_global(lambda payload, tag: None),
    lambda: dlcast.register_global(local()),
    lambda: dlcast.register_global(Thing().method),
    lambda: dlcast.register_global(Thing()),
    lambda: dlcast.register_global(functools.partial(plain)),
    lambda: dlcast.register_global("plain"),
    lambda: dlcast.register_global(plain, "text"),
    lambda: dlcast.register_global(coroutine),
    lambda: dlcast.register_global(dlcast.CodeRef.of(generator)),
    lambda: dlcast.register_global(both),
    lambda: dlcast.register_global(plain, tag=-1),
    lambda: dlcast.unload_global(3),
]
caught = []
for call in calls:
    if rank == 1:
        try:
            call()
        except Exception as error:
            caught.append([type(error).__name__, str(error)])
    else:
        dlcast.sync()
dlcast.register_global(plain)
tell(caught=caught)
