"""Does the Python jobs of a round on this rank: import, commit, undo, call.

It neither waits for other ranks nor knows of them.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from dlcast import _started
from dlcast._interrupts import Interrupts
from dlcast._overlap import Overlap
from dlcast._parking import parking
from dlcast._started import Job

if TYPE_CHECKING:
    from dlcast._native import Native, Step

# What to do about code that a call does not run.
PLAIN = "give a plain function that runs it"
_OWN_FILES = (str(Path(__file__).parent), str(Path(importlib.__file__)), "<frozen importlib.")


class Failure(NamedTuple):
    """Why a job failed here, as text that can travel."""

    message: str
    traceback: str | None


def inside_job() -> bool:
    """Whether this thread is doing an import for a round, or running a callback; or was started by one."""
    return _started.job() is not None


def inside_callback() -> bool:
    """Whether this thread is running a callback for a round, which may do other things on other ranks."""
    job = _started.job()
    return job is not None and job.calls


def must_not_wait() -> bool:
    """Whether nothing may wait for another rank here: in an `import` or a callback, or for one."""
    return inside_job() or inside_import()


def owner() -> object:
    """Whose round this thread is doing something for."""
    job = _started.job()
    return None if job is None else job.owner


def inside_import() -> bool:
    """Whether this thread is inside an `import`, or started by one: nothing may wait for another rank."""
    return _started.importing()


def import_here(name: str) -> ModuleType:
    """Imports on this rank alone."""
    # Where a.b is in sys.modules but a is parked, importing a.b alone would leave a where it is.
    for end, letter in enumerate(name):
        if letter == ".":
            _imported(name[:end])
    return _imported(name)


def _imported(name: str) -> ModuleType:
    """As an import statement does it.

    Where two threads import modules that need each other, a statement takes the module as far as it is;
    importlib.import_module would raise CPython's own error about its locks.
    """
    # With something to take from it, the module itself is given, and not its outermost package.
    module: ModuleType = __import__(name, None, None, ["__name__"], 0)
    return module


def find_code(module: str, qualname: str) -> Any:
    """What a module has under a qualified name; the module is imported where it is not yet."""
    found: Any = import_here(module)
    for part in qualname.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            missing = f"module `{module}` has no `{qualname}` on this rank"
            if module == "__main__":
                missing += "; every rank has to run the same program, and to define it before the call"
            raise AttributeError(missing, name=part, obj=found) from None
    return found


class Jobs:
    """The Python jobs of one call, or of a worker, and what it takes to undo them."""

    def __init__(
        self, owner: object, interrupts: Interrupts, is_wanted: Callable[[], bool] | None = None
    ) -> None:
        """For the rounds of `owner`.

        On a worker the program's own threads import at the same time, and `is_wanted` says whether anybody
        still waits for the job that it is at.
        """
        self._owner = owner
        self._interrupts = interrupts
        self._is_wanted = is_wanted
        # What the jobs since the last verdicts brought into sys.modules.
        self._fresh: dict[str, ModuleType | None] = {}
        self._decided = False
        # What other threads of the program have imported while the last one ran.
        self._elsewhere: set[str] = set()
        # What they brought and every rank has, should it be revoked before the call ends.
        self._committed: dict[str, ModuleType | None] = {}
        self.interrupt: KeyboardInterrupt | None = None
        """What a body or a callback was stopped by; the caller has to raise it when the round is over."""

    def run(self, name: str) -> Failure | None:
        """Imports, and gives anything that the body raises as a failure."""

        def work() -> None:
            _look_again(name)
            self._interrupts.admitted = True
            module = self._import(name)
            self._interrupts.admitted = False
            if module is None:
                raise ModuleNotFoundError(
                    f"import of {name} halted; its body put None in sys.modules", name=name
                )

        return self._attempt(work)

    def call(self, name: str, payload: bytes, tag: int) -> Failure | None:
        """Calls "module:qualname", and gives anything that it raises as a failure."""

        def work() -> None:
            module, _, qualname = name.partition(":")
            _look_again(module)
            self._interrupts.admitted = True
            result = find_code(module, qualname)(payload, tag)
            self._interrupts.admitted = False
            _refuse_unfinished(name, result)

        return self._attempt(work, calls=True)

    def _import(self, name: str) -> ModuleType:
        """Once more, where another thread's import was in the way.

        Two threads that import parts of one package may each hold what the other needs, and Python then
        gives one of them a module that is not done.
        """
        if self._is_wanted is None:
            return import_here(name)
        with Overlap() as overlap:
            try:
                try:
                    return import_here(name)
                except Exception:
                    if not overlap.ends(self._is_wanted):
                        raise
                return import_here(name)
            finally:
                self._elsewhere = overlap.elsewhere

    def _attempt(self, work: Callable[[], None], calls: bool = False) -> Failure | None:
        if self._decided:
            # What came as a dependency of an earlier round stays: it is the program's by now.
            self._fresh.clear()
            self._decided = False
        before = set(sys.modules)
        self._elsewhere = set()
        _started.begin(Job(self._owner, calls))
        try:
            work()
        except BaseException as error:
            # SystemExit and KeyboardInterrupt, too, are answers that all ranks wait for.
            self._interrupts.admitted = False
            if isinstance(error, KeyboardInterrupt):
                self.interrupt = error
            return _failure(error)
        finally:
            _started.end()
            before |= self._elsewhere
            self._fresh.update(
                (new, module) for new, module in list(sys.modules.items()) if new not in before
            )
        return None

    def commit(self, name: str) -> None:
        """The module is on every rank, and stays."""
        self._decided = True
        if name in self._fresh:
            self._committed[name] = self._fresh.pop(name)

    def undo(self, name: str) -> None:
        """Takes the module out of sight, unless the program itself had imported it."""
        self._decided = True
        self._take_out(name, self._fresh)

    def revoke(self, name: str) -> None:
        """As undo, for what was committed in this call, before a plugin that it brought failed."""
        self._take_out(name, self._committed)

    def _take_out(self, name: str, known: dict[str, ModuleType | None]) -> None:
        if name not in known:
            return
        module = known.pop(name)
        if module is None:
            # There is nothing to park: the body itself put None there.
            sys.modules.pop(name, None)
        elif sys.modules.get(name) is module:
            parking.park(name, module)


def do_job(library: Native, jobs: Jobs, step: Step) -> Failure | None:
    """Does what a step asks for."""
    if step.job == library.lib.DLCAST_JOB_IMPORT:
        return jobs.run(step.name)
    if step.job == library.lib.DLCAST_JOB_CALL:
        return jobs.call(step.name, step.payload, step.tag)
    if step.job == library.lib.DLCAST_JOB_UNDO:
        jobs.undo(step.name)
    elif step.job == library.lib.DLCAST_JOB_REVOKE:
        jobs.revoke(step.name)
    else:
        jobs.commit(step.name)
    return None


def _refuse_unfinished(name: str, result: Any) -> None:
    """What a call of a generator or async function gives has not run, and nobody would run it."""
    if inspect.iscoroutine(result):
        # Else Python warns that nobody has awaited it.
        result.close()
    elif not (inspect.isgenerator(result) or inspect.isasyncgen(result)):
        return
    raise TypeError(f"{name} gave a {type(result).__name__}, which nobody runs: {PLAIN}")


def _look_again(name: str) -> None:
    """Before an import that runs a body: files may have appeared since a directory was last listed."""
    if name not in sys.modules:
        parking.come_first()
        importlib.invalidate_caches()


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
