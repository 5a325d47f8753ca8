"""`record()`: what its block opens or imports on this rank becomes requests for the next round.

The library itself sees what native code opens, by a difference of the link maps. Here it is told what it
cannot see: the flags of ctypes, and which of the libraries came as part of a module.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from dlcast import _importer, _native
from dlcast._arguments import binding
from dlcast._session import attach


@contextlib.contextmanager
def record(comm: Any = None) -> Iterator[None]:
    """Records what the block opens, imports or registers; an import travels as a module.

    Nothing is sent: what was recorded travels with the next `sync`, or with any other collective call; in
    service mode at once, without waiting. If the block raises, nothing is recorded. Only this thread's
    imports and ctypes calls count, and only modules that were not imported before. Local, but for the first
    use of a communicator, which attaches to it.
    """
    with attach(comm).record():
        yield


@dataclass(slots=True)
class _Recording:
    """A block that is being recorded."""

    handle: int
    session: int
    before: set[str] = field(default_factory=lambda: set(sys.modules))
    explained: set[str] = field(default_factory=set)
    """New modules that were asked for, or that an import brought along."""
    callbacks: list[tuple[int, bytes, bytes, int]] = field(default_factory=list)
    """Registered in the block: session, code, payload, tag."""


@contextlib.contextmanager
def recording(session: int) -> Iterator[None]:
    """Records for a session that is there."""
    library = _native.native()
    recording = _Recording(library.recording_begin(session), session)
    _here.recordings.append(recording)
    try:
        with _hooks:
            try:
                yield
            finally:
                _here.recordings.remove(recording)
            elsewhere = set(_hooks.elsewhere)
        for name in _imported_by_hand(recording.before | recording.explained | elsewhere):
            library.recording_module(recording.handle, name)
    except BaseException:
        library.recording_end(recording.handle, keep=False)
        raise
    library.recording_end(recording.handle, keep=True)
    for callback in recording.callbacks:
        library.record_code(*callback)


def of_this_thread() -> list[_Recording]:
    """The blocks that this thread is in, innermost last."""
    return _here.recordings


class _Here(threading.local):
    """Of this thread: its recordings, and how deep it is in imports while they are on."""

    def __init__(self) -> None:
        self.recordings: list[_Recording] = []
        self.depth = 0


_here = _Here()


class _Hook:
    """A function of a module, replaced for a time."""

    def __init__(self, module: Any, name: str, replacement: Callable[..., Any]) -> None:
        self._module = module
        self._name = name
        self._replacement = replacement
        self._installed = False
        self.original: Callable[..., Any] = getattr(module, name)

    def install(self) -> None:
        if not self._installed:
            self.original = getattr(self._module, self._name)
            setattr(self._module, self._name, self._replacement)
            self._installed = True

    def remove(self) -> None:
        # Where somebody has wrapped the replacement since, it stays, and passes everything on.
        if getattr(self._module, self._name) is self._replacement:
            setattr(self._module, self._name, self.original)
            self._installed = False


class _Hooks:
    """What is replaced while any thread records."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self.dlopen = _Hook(ctypes, "_dlopen", _dlopen)
        self.find_and_load = _Hook(importlib._bootstrap, "_find_and_load", _find_and_load)
        self.elsewhere: set[str] = set()
        """Modules that threads without a recording import meanwhile."""

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self.elsewhere.clear()
                self.dlopen.install()
                self.find_and_load.install()
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self.dlopen.remove()
                self.find_and_load.remove()


def _dlopen(name: Any, mode: int = ctypes.DEFAULT_MODE) -> int:
    """In place of `ctypes._dlopen`."""
    handle: int = _hooks.dlopen.original(name, mode)
    # Without a name it is the program itself; inside an import it belongs to the module.
    if name is not None and _here.depth == 0:
        for recording in _here.recordings:
            _native.native().recording_opened(recording.handle, os.fsencode(name), binding(mode))
    return handle


def _find_and_load(name: str, import_: Any) -> ModuleType:
    """In place of the function through which every import goes of a module that is not there yet.

    Wrapping `builtins.__import__` would miss C code, and wrapping `importlib.import_module` misses those who
    hold a reference to it.
    """
    if not _here.recordings:
        _hooks.elsewhere.add(name)
    if not _here.recordings or _here.depth or name in sys.modules:
        return _imported(name, import_)
    recordings = list(_here.recordings)
    before = set(sys.modules)
    library = _native.native()
    for recording in recordings:
        library.recording_cover_begin(recording.handle)
    _here.depth += 1
    try:
        module = _imported(name, import_)
    finally:
        _here.depth -= 1
        for recording in recordings:
            library.recording_cover_end(recording.handle)
            recording.explained |= set(sys.modules) - before
    # The imports of a round are agreed on already.
    if not _importer.inside_job():
        for recording in recordings:
            library.recording_module(recording.handle, name)
    return module


def _imported(name: str, import_: Any) -> ModuleType:
    module: ModuleType = _hooks.find_and_load.original(name, import_)
    return module


_hooks = _Hooks()


def _imported_by_hand(known: set[str]) -> Iterator[str]:
    """New modules that no import has brought but would find: somebody called their loader directly."""
    for name, module in list(sys.modules.items()):
        own = name.partition(".")[0] in ("__main__", "dlcast")
        if name not in known and not own and _is_found(name, module):
            yield name


def _is_found(name: str, module: ModuleType) -> bool:
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    if spec is None or spec.loader is None:
        return False
    parent = name.rpartition(".")[0]
    path = getattr(sys.modules.get(parent), "__path__", None)
    if parent and path is None:
        return False
    for finder in sys.meta_path:
        found: ModuleSpec | None = None
        with contextlib.suppress(ImportError):
            found = finder.find_spec(name, path)
        if found is not None:
            return found.origin == spec.origin
    return False
