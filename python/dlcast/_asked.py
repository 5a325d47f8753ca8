"""A call in service mode: its request is under way, and its answer is waited for."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from pathlib import Path
from types import FrameType
from typing import Any

from dlcast import _native
from dlcast._errors import NoInterpreterWarning
from dlcast._report import skipped

# How long the main thread waits before Python may run a handler of a signal; other threads run none.
_SLICE = 0.1
_WHILE = 3600.0
_HERE = str(Path(__file__).parent)


class Asked:
    """One request."""

    def __init__(self, call: int | None) -> None:
        """None: made where nothing may wait, and recorded; its end is not known."""
        self._call = call
        self.report: dict[str, Any] | None = None

    def wait(self, seconds: float | None) -> bool:
        """Whether it has ended within this time. An interrupt leaves the call, and the request goes on."""
        if self._call is None:
            return True
        library = _native.native()
        is_main = threading.current_thread() is threading.main_thread()
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            left = _WHILE if end is None else max(0.0, end - time.monotonic())
            try:
                step = library.step_within(self._call, min(left, _SLICE) if is_main else left)
            except Exception:
                self._call = None
                raise
            if step is not None:
                break
            if end is not None and time.monotonic() >= end:
                return False
        self._call = None
        self.report = library.report()
        refuse_invalid(self.report)
        if self.report["own"] is not None:
            _warn(self.report)
        return True

    def drop(self) -> None:
        """Nobody waits for it any more."""
        if self._call is not None:
            _native.native().drop(self._call)
            self._call = None

    def __del__(self) -> None:
        """A call that was interrupted."""
        if self._call is not None and not sys.is_finalizing():
            self.drop()


def refuse_invalid(report: dict[str, Any]) -> None:
    """A bad argument that the library has found."""
    own = report["own"]
    if own is not None and own["outcome"] == "invalid":
        raise ValueError(own["error"])


def _warn(report: dict[str, Any]) -> None:
    """What was asked for is not on ranks without Python."""
    # The caller, for whom it is: one line of the program warns once.
    level = 1
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        frame, level = frame.f_back, level + 1
    for item in skipped(report):
        warnings.warn(str(item), NoInterpreterWarning, stacklevel=level)
