"""Whether other threads import while this one does.

Python takes module locks one by one, so that two threads can each hold what the other needs; then one of them
fails with a "partially initialized module" or a deadlock error, though each import alone would succeed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from dlcast._started import modules

# Between two looks at what the others do.
_PAUSE = 0.005


class Overlap:
    """While entered: which other threads import."""

    def __init__(self) -> None:
        """Of the thread that makes it."""
        self._me = threading.get_ident()
        self._others: set[int] = set()
        self._ours: set[str] = set()
        self._theirs: set[str] = set()

    @property
    def elsewhere(self) -> set[str]:
        """Modules that other threads have imported meanwhile, and this one has not."""
        return self._theirs - self._ours

    def __enter__(self) -> Overlap:
        """Notes who is in an import already."""
        _watch.add(self)
        self._others |= self._importing()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Notes no more."""
        _watch.remove(self)

    def ends(self, is_wanted: Callable[[], bool]) -> bool:
        """Waits until those imports are over. False: there were none, or nobody wants to know any more."""
        if not self._others:
            return False
        while self._importing() & self._others:
            if not is_wanted():
                return False
            time.sleep(_PAUSE)
        return True

    def note(self, thread: int, name: str) -> None:
        """A thread imports something that is not there yet."""
        if thread == self._me:
            self._ours.add(name)
        else:
            self._others.add(thread)
            self._theirs.add(name)

    def _importing(self) -> set[int]:
        frames = sys._current_frames()
        return {
            thread for thread, frame in frames.items() if thread != self._me and modules(frame, first=True)
        }


class _Watch:
    """A finder that finds nothing, and sees who looks."""

    def __init__(self) -> None:
        self._overlaps: tuple[Overlap, ...] = ()
        self._lock = threading.Lock()

    def add(self, overlap: Overlap) -> None:
        with self._lock:
            self._overlaps += (overlap,)
        # It stays there: a finder that is taken out while another thread goes through the list makes that
        # thread skip the next one.
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def remove(self, overlap: Overlap) -> None:
        with self._lock:
            self._overlaps = tuple(other for other in self._overlaps if other is not overlap)

    def find_spec(self, name: str, path: object = None, target: object = None, /) -> None:
        if self._overlaps:
            me = threading.get_ident()
            for overlap in self._overlaps:
                overlap.note(me, name)


_watch = _Watch()
