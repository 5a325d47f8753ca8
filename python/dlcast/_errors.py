"""The exceptions: what went wrong, and on which ranks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RankFailure:
    """Why one rank could not do what was asked for."""

    rank: int
    host: str
    phase: str
    """Where on the way: "resolve", "stage", "open", "register", "callback", "import", "call" and others."""
    message: str
    """The exception's last line, or what the loader said."""
    traceback: str | None = None
    """Of a module body or a callback that raised, without the frames of importlib and dlcast."""


class SessionError(RuntimeError):
    """The session cannot be used: MPI is missing, finalised or another one, or a deadline has passed."""


class SessionTimeout(SessionError, TimeoutError):
    """The deadline passed in this call; the text names the ranks that did not come.

    In collective mode the session has ended. In service mode it goes on, unless a rank does not answer.
    """


class NoInterpreterWarning(RuntimeWarning):
    """Some ranks run no Python: what was asked for is on the others."""


class GlobalImportError(ImportError):
    """A module could not be imported on every rank, and so is visible on none."""

    failures: list[RankFailure]
    """Every failing rank, in ascending order."""

    def __init__(
        self, text: str = "", *, name: str | None = None, failures: Iterable[RankFailure] = ()
    ) -> None:
        """The text is the whole report; `name` is the module."""
        super().__init__(text, name=name)
        self.failures = list(failures)


class GlobalLoadError(OSError):
    """A library could not be loaded on every rank, and so is visible on none; or could not be unloaded."""

    failures: list[RankFailure]
    """Every failing rank, in ascending order."""

    def __init__(self, text: str = "", *, failures: Iterable[RankFailure] = ()) -> None:
        """The text is the whole report."""
        super().__init__(text)
        self.failures = list(failures)


class GlobalCallbackError(RuntimeError):
    """Code that every process was to run once has failed on some rank; it will not run a second time."""

    failures: list[RankFailure]
    """Every failing rank, in ascending order."""

    def __init__(self, text: str = "", *, failures: Iterable[RankFailure] = ()) -> None:
        """The text is the whole report."""
        super().__init__(text)
        self.failures = list(failures)


class LayersError(RuntimeError):
    """The layers of a stack cannot be used as the text says; where ranks work together, the same on all."""

    failures: list[RankFailure]
    """Where ranks work together: every failing rank, in ascending order."""

    def __init__(self, text: str = "", *, failures: Iterable[RankFailure] = ()) -> None:
        """The text is the whole report."""
        super().__init__(text)
        self.failures = list(failures)


class TaskError(RuntimeError):
    """A task, or other native code with a guarded signature, has failed; the text names it and says why."""


class TaskLookupError(KeyError):
    """No task has this name or id: it was never there, or its plugin was unloaded."""

    def __str__(self) -> str:
        """The text as it is; a KeyError would put quotes around it."""
        return str(self.args[0]) if self.args else ""
