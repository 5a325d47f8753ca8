"""Threads that a module's body or a callback has started, and may be waiting for.

A body that joins its thread holds its module's lock until the thread ends: what the body must not wait for,
the thread must not, either. Noted by `threading.Thread.start`, which is wrapped for that (its audit event is
not in Python 3.11). A thread that was there before, and to which the body hands its work, is not known.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from types import FrameType
from typing import NamedTuple
from weakref import WeakKeyDictionary

_BOOTSTRAP = "<frozen importlib._bootstrap>"
# The functions of the import system that hold a module's lock while its body runs, and what has its name.
_IMPORTING = {"_find_and_load": "name", "_load": "spec", "_exec": "spec"}


class Job:
    """An import or a callback that a thread does for a round."""

    def __init__(self, owner: object, calls: bool) -> None:
        """For `owner`; `calls` says that it is a callback."""
        self.owner = owner
        self.calls = calls
        self.running = True


class _Start(NamedTuple):
    """What was going on when a thread was started."""

    job: Job | None
    imports: tuple[tuple[int, frozenset[str]], ...]
    """In which threads modules were being imported, and which ones."""


class _Here(threading.local):
    """Of this thread: the jobs that it is doing, innermost last."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []


_here = _Here()
_starts: WeakKeyDictionary[threading.Thread, _Start] = WeakKeyDictionary()


def begin(job: Job) -> None:
    """This thread does a job from now on."""
    _here.jobs.append(job)


def end() -> None:
    """The job that this thread began last is done: threads that it has started are on their own."""
    _here.jobs.pop().running = False


def job() -> Job | None:
    """The job that this thread does, or is started by."""
    if _here.jobs:
        return _here.jobs[-1]
    start = _start()
    return start.job if start is not None and start.job is not None and start.job.running else None


def importing() -> bool:
    """Whether this thread is inside an `import`, or was started inside one that is still going on."""
    if modules(sys._getframe(), first=True):
        return True
    start = _start()
    return start is not None and bool(_going_on(start))


def modules(frame: FrameType | None, first: bool = False) -> frozenset[str]:
    """The modules that are being imported where this frame is; or the first that is found."""
    found = set()
    while frame is not None:
        code = frame.f_code
        if code.co_filename == _BOOTSTRAP and code.co_name in _IMPORTING:
            module = frame.f_locals.get(_IMPORTING[code.co_name])
            found.add(str(getattr(module, "name", module)))
            if first:
                break
        frame = frame.f_back
    return frozenset(found)


def _start() -> _Start | None:
    # current_thread() would make an object for a thread of native code.
    thread = threading._active.get(threading.get_ident()) if _starts else None  # type: ignore[attr-defined]
    return None if thread is None else _starts.get(thread)


def _going_on(start: _Start) -> tuple[tuple[int, frozenset[str]], ...]:
    frames = sys._current_frames()
    return tuple(one for one in start.imports if one[1] & modules(frames.get(one[0])))


def _note(thread: threading.Thread) -> None:
    outer = _start()
    imports = () if outer is None else _going_on(outer)
    own = modules(sys._getframe())
    if own:
        imports = ((threading.get_ident(), own), *imports)
    doing = job()
    if imports or doing is not None:
        _starts[thread] = _Start(doing, imports)


_start_thread = threading.Thread.start


@functools.wraps(_start_thread)
def _start_noted(thread: threading.Thread) -> None:
    # Whatever is wrong with noting it, the program's thread starts.
    with contextlib.suppress(Exception):
        _note(thread)
    _start_thread(thread)


threading.Thread.start = _start_noted  # type: ignore[method-assign]
