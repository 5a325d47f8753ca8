"""The result of an import that was recorded, not waited for."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from types import ModuleType

from dlcast._errors import GlobalImportError, SessionError
from dlcast._report import SyncReport


class Future:
    """An import that travels with the next round of its session."""

    def __init__(self, name: str, sync: Callable[[float | None], SyncReport], turn: threading.Lock) -> None:
        """`sync` runs a round, if it comes to that; `turn` belongs to the thread that does so."""
        self._name = name
        self._sync = sync
        self._turn = turn
        self._done = False
        self._error: GlobalImportError | None = None

    def __repr__(self) -> str:
        """Says whether it is decided."""
        state = "pending" if not self._done else "undone" if self._error else "committed"
        return f"<dlcast.Future of {self._name}: {state}>"

    def done(self) -> bool:
        """Whether a round has decided, this future's own or another call's. Local."""
        return self._done

    def result(self, timeout: float | None = None) -> ModuleType:
        """The module, or GlobalImportError.

        Collective while it is pending: the other ranks ask for their results, too, or call `sync`.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        return importlib.import_module(self._name)

    def exception(self, timeout: float | None = None) -> GlobalImportError | None:
        """What `result` would raise, or None. Collective while it is pending."""
        if not self._done:
            # Another thread's round decides this future, too: the other ranks make one round, not two.
            with self._turn:
                if not self._done:
                    self._sync(timeout)
        if not self._done:
            raise SessionError(f"the round did not decide about the import of `{self._name}`")
        return self._error

    def _decide(self, error: GlobalImportError | None) -> None:
        self._error = error
        self._done = True
