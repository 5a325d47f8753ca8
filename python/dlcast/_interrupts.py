"""Keeps Ctrl-C from leaving a round half done, which would leave the other ranks waiting."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """While entered on the main thread, holds SIGINT back, except where `admitted` lets it through."""

    def __init__(self) -> None:
        """Changes nothing yet."""
        self.admitted = False
        self._held = False
        self._handler: Any = None

    def __enter__(self) -> Interrupts:
        """Python runs signal handlers on the main thread only; elsewhere there is nothing to hold."""
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):
                self._handler = handler
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Lets what was held through."""
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            if self._held:
                signal.raise_signal(signal.SIGINT)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.admitted:
            self._handler(number, frame)
        else:
            self._held = True
