"""The result of an import that is not waited for yet."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Protocol

from dlcast import _importer
from dlcast._errors import GlobalImportError, SessionError
from dlcast._report import SyncReport


class Request(Protocol):
    """A call in service mode, under way."""

    def wait(self, seconds: float | None) -> bool:
        """Whether it has ended within this time; None is as long as it takes. Raises what went wrong."""

    def drop(self) -> None:
        """Nobody waits for it any more."""


class Future:
    """An import that is under way; in collective mode it travels with the session's next round."""

    def __init__(self, name: str, sync: Callable[[float | None], SyncReport], turn: threading.Lock) -> None:
        """`sync` runs a round, if it comes to that; `turn` belongs to the thread that does so."""
        self._name = name
        self._sync = sync
        self._turn = turn
        self._ask: Callable[[], Request] | None = None
        self._request: Request | None = None
        self._done = False
        self._error: GlobalImportError | SessionError | None = None

    def __repr__(self) -> str:
        """Says whether it is decided."""
        state = "pending" if not self._done else "undone" if self._error else "committed"
        return f"<dlcast.Future of {self._name}: {state}>"

    def __del__(self) -> None:
        """The request goes on, though nobody waits for it."""
        if self._request is not None:
            with contextlib.suppress(Exception):
                self._request.drop()

    def done(self) -> bool:
        """Whether it is decided: by its own request, or in collective mode by any round. Local."""
        if not self._done and self._ask is not None and self._turn.acquire(blocking=False):
            try:
                self._look(0)
            finally:
                self._turn.release()
        return self._done

    def result(self, timeout: float | None = None) -> ModuleType:
        """The module, or GlobalImportError.

        In service mode it waits for the answer, `timeout` seconds at most: then it raises TimeoutError, and
        the request goes on. In collective mode it is a collective call while it is pending: the other ranks
        ask for their results, too, or call `sync`.
        """
        error = self.exception(timeout)
        if error is not None:
            raise error
        return _importer.import_here(self._name)

    def exception(self, timeout: float | None = None) -> GlobalImportError | SessionError | None:
        """What `result` would raise, or None. It waits as `result` does."""
        if self._ask is not None:
            self._wait(timeout)
        elif not self._done:
            # Another thread's round decides this future, too: the other ranks make one round, not two.
            with self._turn:
                if not self._done:
                    self._sync(timeout)
        if not self._done:
            raise SessionError(f"the round did not decide about the import of `{self._name}`")
        return self._error

    def _serve(self, ask: Callable[[], Request], turn: threading.Lock) -> None:
        """The session is in service mode: `ask` makes the request."""
        self._turn = turn
        self._ask = ask

    def _wait(self, timeout: float | None) -> None:
        late = TimeoutError(f"the import of `{self._name}` is not decided after {timeout} s")
        if not self._turn.acquire(timeout=-1 if timeout is None else timeout):
            raise late
        try:
            self._look(timeout)
        finally:
            self._turn.release()
        if not self._done:
            raise late

    def _look(self, seconds: float | None) -> None:
        """In its turn: asks, if that has not been done, and looks for the answer."""
        if self._done or self._ask is None:
            return
        try:
            if self._request is None:
                self._request = self._ask()
            if self._request.wait(seconds):
                self._decide(None)
        except (GlobalImportError, SessionError) as error:
            self._decide(error)

    def _decide(self, error: GlobalImportError | SessionError | None) -> None:
        self._error = error
        self._done = True
