"""Does the import jobs of a round on this rank: import, commit, undo.

It neither waits for other ranks nor knows of them.
"""

from __future__ import annotations

import importlib
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType, ModuleType
from typing import NamedTuple

from dlcast._interrupts import Interrupts
from dlcast._parking import parking

_BOOTSTRAP = "<frozen importlib._bootstrap>"
# The functions of the import system that hold a module's lock while its body runs.
_IMPORTING = frozenset({"_find_and_load", "_load", "_exec"})
_OWN_FILES = (str(Path(__file__).parent), str(Path(importlib.__file__)), "<frozen importlib.")


class Failure(NamedTuple):
    """Why a job failed here, as text that can travel."""

    message: str
    traceback: str | None


class _Here(threading.local):
    """Of this thread: for whom it is importing, innermost last."""

    def __init__(self) -> None:
        self.owners: list[object] = []


_here = _Here()


def inside_job() -> bool:
    """Whether this thread is doing an import for a round."""
    return bool(_here.owners)


def owner() -> object:
    """Whose round this thread is doing an import for."""
    return _here.owners[-1] if _here.owners else None


def inside_import() -> bool:
    """Whether this thread is inside an `import`, where nothing may wait for another rank."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == _BOOTSTRAP and frame.f_code.co_name in _IMPORTING:
            return True
        frame = frame.f_back
    return False


def import_here(name: str) -> ModuleType:
    """Imports on this rank alone."""
    # Where a.b is in sys.modules but a is parked, importing a.b alone would leave a where it is.
    for end, letter in enumerate(name):
        if letter == ".":
            importlib.import_module(name[:end])
    return importlib.import_module(name)


class Jobs:
    """The import jobs of one call, or of a worker, and what it takes to undo them."""

    def __init__(self, owner: object, interrupts: Interrupts) -> None:
        """For the rounds of `owner`."""
        self._owner = owner
        self._interrupts = interrupts
        # What the jobs since the last verdicts brought into sys.modules.
        self._fresh: dict[str, ModuleType | None] = {}
        self._decided = False
        self.interrupt: KeyboardInterrupt | None = None
        """What a module body was stopped by; the caller has to raise it when the round is over."""

    def run(self, name: str) -> Failure | None:
        """Imports, and gives anything that the body raises as a failure."""
        if self._decided:
            # What came as a dependency of an earlier round stays: it is the program's by now.
            self._fresh.clear()
            self._decided = False
        before = set(sys.modules)
        _here.owners.append(self._owner)
        try:
            if name not in sys.modules:
                parking.come_first()
                # Files may have appeared since a directory was last listed.
                importlib.invalidate_caches()
            self._interrupts.admitted = True
            module = import_here(name)
            self._interrupts.admitted = False
            if module is None:
                raise ModuleNotFoundError(
                    f"import of {name} halted; its body put None in sys.modules", name=name
                )
        except BaseException as error:
            # SystemExit and KeyboardInterrupt, too, are answers that all ranks wait for.
            self._interrupts.admitted = False
            if isinstance(error, KeyboardInterrupt):
                self.interrupt = error
            return _failure(error)
        finally:
            _here.owners.pop()
            self._fresh.update(
                (new, module) for new, module in list(sys.modules.items()) if new not in before
            )
        return None

    def commit(self, name: str) -> None:
        """The module is on every rank, and stays."""
        self._decided = True
        self._fresh.pop(name, None)

    def undo(self, name: str) -> None:
        """Takes the module out of sight, unless the program itself had imported it."""
        self._decided = True
        if name not in self._fresh:
            return
        module = self._fresh.pop(name)
        if module is None:
            # There is nothing to park: the body itself put None there.
            sys.modules.pop(name, None)
        elif sys.modules.get(name) is module:
            parking.park(name, module)


def _failure(error: BaseException) -> Failure:
    try:
        report = traceback.TracebackException.from_exception(error)
        _trim(report)
        if isinstance(error, SyntaxError):
            # Its last line names no file, and its other lines do not fit in a message.
            message = f"{type(error).__name__}: {error}"
        else:
            message = "".join(report.format_exception_only()).strip()
        return Failure(message, "".join(report.format()).rstrip())
    except Exception as unprintable:
        return Failure(f"{type(error).__name__} (its text cannot be made: {unprintable!r})", None)


def _trim(report: traceback.TracebackException) -> None:
    """Leaves the frames of the program: those of importlib and dlcast are the same in every report."""
    report.stack[:] = [frame for frame in report.stack if not frame.filename.startswith(_OWN_FILES)]
    for related in (report.__cause__, report.__context__, *(getattr(report, "exceptions", None) or ())):
        if related is not None:
            _trim(related)
