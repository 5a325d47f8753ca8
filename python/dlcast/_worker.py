"""The import worker: a thread that Python made imports in service mode, and for callers in C, C++ or Rust."""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from dlcast import _importer, _native
from dlcast._interrupts import Interrupts

# How long it is waited for a job before one looks around.
_PATIENCE = 3600.0
# How long a worker may take to hear that it is to end.
_PAUSE = 0.05
# How long the end of the program waits for a worker that is busy: a module body may go on for ever.
_FAREWELL = 2.0

# What the rounds of a session have imported, whichever worker did it.
_jobs: dict[int, _importer.Jobs] = {}
# By session handle: what a job's own requests belong to. `_session` puts its sessions here.
sessions: dict[int, Any] = {}


class ImportWorker:
    """Serves until `stop`, the end of a `with` block, or the end of the program."""

    def __init__(self) -> None:
        """The library knows of it from now on."""
        self._library = _native.native()
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._retired = False
        self._library.import_serve(True)
        self._thread = threading.Thread(target=self._serve, name="dlcast imports", daemon=True)
        self._thread.start()
        # Before the interpreter goes: a thread that comes back from C after that would end the process badly.
        atexit.register(self.stop)

    def stop(self, patience: float | None = None) -> None:
        """Ends the thread after the job that it may be doing."""
        atexit.unregister(self.stop)
        if self._process != os.getpid():
            return
        self._retire()
        end = math.inf if patience is None else time.monotonic() + patience
        self._thread.join(_PAUSE)
        while self._thread.is_alive() and time.monotonic() < end:
            # It was just about to wait when it was called.
            self._library.import_serve(True)
            self._library.import_serve(False)
            self._thread.join(_PAUSE)

    def __enter__(self) -> ImportWorker:
        """The thread runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops."""
        self.stop()

    def _retire(self) -> None:
        with self._lock:
            if not self._retired:
                self._retired = True
                self._library.import_serve(False)

    def _serve(self) -> None:
        library = self._library
        try:
            while not self._retired:
                step = library.import_next(_PATIENCE)
                if step.status == library.lib.DLCAST_JOB:
                    library.import_answer(_importer.do_job(library, self._jobs_of(step.session), step))
        finally:
            self._retire()

    def _jobs_of(self, session: int) -> _importer.Jobs:
        if session not in _jobs:
            owner = sessions.get(session, self)
            _jobs[session] = _importer.Jobs(owner, Interrupts(), self._library.import_wanted)
        return _jobs[session]


class _Service:
    """The worker that service mode needs in every process with a Python, and its end."""

    def __init__(self) -> None:
        # `dlcast run` starts it between any two instructions of the main thread, those of `start` included.
        self._lock = threading.RLock()
        self._begun = False
        self._worker: ImportWorker | None = None
        self._aborts = False

    def start(self) -> None:
        """Once in a process."""
        with self._lock:
            if not self._begun:
                self._begun = True
                self._worker = ImportWorker()
                # Not by the worker itself: its turn would come first.
                atexit.unregister(self._worker.stop)
                atexit.register(self._end, os.getpid())
                self._notice_aborts()

    def _end(self, process: int) -> None:
        """The program is over: other ranks may ask for modules until they have said goodbye, too."""
        if process != os.getpid() or self._worker is None:
            # A forked child says nothing.
            return
        # `python -m mpi4py` ends the job once the interpreter is gone; nobody has to wait for that.
        if not self._aborts:
            self._worker._library.leave()
        self._worker.stop(_FAREWELL)

    def _notice_aborts(self) -> None:
        """`python -m mpi4py` decides before the handlers of atexit run, and tells MPI alone."""
        for module, name in (("mpi4py.MPI", "_set_abort_status"), ("mpi4py.run", "set_abort_status")):
            original: Callable[[Any], None] | None = getattr(sys.modules.get(module), name, None)
            if original is not None:
                setattr(sys.modules[module], name, self._noticed(original))

    def _noticed(self, original: Callable[[Any], None]) -> Callable[[Any], None]:
        def set_abort_status(status: Any) -> None:
            code = status.code if isinstance(status, SystemExit) else status
            self._aborts = code not in (None, 0)
            original(status)

        return set_abort_status


service = _Service()


def serve_imports() -> ImportWorker:
    """Lets callers in C, C++ or Rust of this process import: for a Python that a C++ host embeds.

    A module body, or a callback in Python, then runs on the worker's thread, not on the main thread, and
    must use none of the program's communicators. In service mode `attach` does this by itself.
    """
    return ImportWorker()
