"""The import worker: a thread that Python made does the Python jobs of callers in C, C++ or Rust."""

from __future__ import annotations

import atexit
import threading
from types import TracebackType

from dlcast import _importer, _native
from dlcast._errors import SessionError
from dlcast._interrupts import Interrupts
from dlcast._session import do_job

# How long the end of the program may wait for the worker.
_PATIENCE = 0.25


class ImportWorker:
    """Serves until `stop`, the end of a `with` block, or the end of the program."""

    def __init__(self) -> None:
        """Starts the thread, and waits until the library knows of it."""
        self._library = _native.native()
        self._retire = threading.Event()
        self._known = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="dlcast imports", daemon=True)
        self._thread.start()
        self._known.wait()
        # Before the interpreter goes: a thread that comes back from C after that would end the process badly.
        atexit.register(self.stop)

    def stop(self) -> None:
        """Ends the thread after the job that it may be doing."""
        atexit.unregister(self.stop)
        self._retire.set()
        self._thread.join()

    def __enter__(self) -> ImportWorker:
        """The thread runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops."""
        self.stop()

    def _serve(self) -> None:
        jobs = _importer.Jobs(self, Interrupts())
        patience = 0.0
        try:
            while not self._retire.is_set():
                step = self._library.import_next(patience)
                self._known.set()
                patience = _PATIENCE
                if step.status == self._library.lib.DLCAST_JOB:
                    self._library.import_answer(do_job(self._library, jobs, step))
        except SessionError:
            # The library is done with imports.
            pass
        finally:
            self._known.set()


def serve_imports() -> ImportWorker:
    """Lets callers in C, C++ or Rust of this process import: for a Python that a C++ host embeds.

    A module body, or a callback in Python, then runs on the worker's thread, not on the main thread, and
    must use none of the program's communicators.
    """
    return ImportWorker()
