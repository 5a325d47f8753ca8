"""Sessions and their calls.

In collective mode a call is stepped in the caller's thread, which does Python's part itself; in service mode
it is a request, whose answer the caller waits for.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from dlcast import _importer, _native, _worker
from dlcast._arguments import key_of, library_of, module_name, seconds_of, unloaded, usable
from dlcast._asked import Asked, refuse_invalid
from dlcast._code import payload_of, tag_of, to_run
from dlcast._errors import GlobalCallbackError, GlobalImportError, GlobalLoadError, SessionError
from dlcast._future import Future
from dlcast._interrupts import Interrupts
from dlcast._report import SyncReport, sync_report, undone
from dlcast._tasks import Tasks

_MODES = {None: "DLCAST_DEFAULT_MODE", "collective": "DLCAST_COLLECTIVE", "service": "DLCAST_SERVICE"}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Request:
    """What a rank leaves for the next round."""

    name: str | bytes
    """A module's name, or a library's path."""
    flags: int = 0


@dataclass(frozen=True, slots=True)
class _Callback:
    """Code that every process is to run once."""

    code: bytes
    payload: bytes
    tag: int


class _Pending:
    """What was recorded on a communicator, and which futures wait for it."""

    def __init__(self) -> None:
        self.requests: list[_Request | _Callback] = []
        self.futures: dict[str, list[Future]] = {}
        self.turn = threading.Lock()


class Session:
    """The ranks of one communicator, which agree on what they load. Made by `attach`."""

    def __init__(self, handle: int) -> None:
        """Of a session that the library has made."""
        self._handle = handle
        self._futures: dict[str, list[Future]] = {}
        # One thread at a time runs a round for its future: the round may decide the futures of the others.
        self._turn = threading.Lock()
        self._timeout: float | None = None
        self._serves = _native.native().serves(handle)
        self.rank, self.size = _native.native().rank_and_size(handle)

    def __repr__(self) -> str:
        """Says where this rank is."""
        return f"<dlcast.Session: rank {self.rank} of {self.size}>"

    def import_global(
        self,
        module: str | ModuleType,
        check_depth: bool = True,
        block: bool = True,
        *,
        timeout: float | None = None,
    ) -> Any:
        """As `dlcast.import_global`, for the ranks of this session."""
        if not block:
            return self._promise(module_name(module))
        name = self._argument(lambda: module_name(module), timeout)
        if _importer.must_not_wait():
            return _import_nested(self._record, name, check_depth)
        report = self._call("DLCAST_VERB_IMPORT", name.encode(), 0, timeout)
        if report is not None and report["own"]["outcome"] == "undone":
            raise _import_error(report["undone"][report["own"]["index"]])
        return _importer.import_here(name)

    def load_global(
        self,
        path: str | bytes | os.PathLike[Any],
        mode: int = ctypes.RTLD_LOCAL,
        *,
        timeout: float | None = None,
    ) -> ctypes.CDLL:
        """As `dlcast.load_global`, for the ranks of this session."""
        name, flags = self._argument(lambda: library_of(path, mode), timeout)
        if _importer.must_not_wait():
            return _load_nested(self._record, name, flags)
        report = self._call("DLCAST_VERB_LOAD", name, flags, timeout)
        if report is None:
            return ctypes.CDLL(os.fsdecode(name), flags)
        _raise_undone(report, GlobalLoadError)
        return ctypes.CDLL(report["own"]["path"], mode, handle=report["own"]["handle"])

    def register_global(
        self, code: Any, payload: Any = b"", tag: int = 0, *, timeout: float | None = None
    ) -> None:
        """As `dlcast.register_global`, for the ranks of this session."""
        recordings = _recordings()
        callback = self._argument(lambda: _callback(code, payload, tag), timeout, local=bool(recordings))
        if _importer.must_not_wait():
            self._record(callback)
        elif recordings:
            recordings[-1].callbacks.append((self._handle, callback.code, callback.payload, callback.tag))
        else:
            library = _native.native()
            what = callback.code, callback.payload, callback.tag
            report = self._run(lambda seconds: library.begin_register(self._handle, *what, seconds), timeout)
            _raise_undone(report, GlobalCallbackError)

    def unload_global(
        self, lib: str | bytes | os.PathLike[Any] | ctypes.CDLL, *, timeout: float | None = None
    ) -> None:
        """As `dlcast.unload_global`, for the ranks of this session."""
        _refuse_to_wait("unload_global")
        name = self._argument(lambda: unloaded(lib), timeout)
        _raise_undone(self._call("DLCAST_VERB_UNLOAD", name, 0, timeout), GlobalLoadError)

    def serve(self, *, timeout: float | None = None) -> None:
        """Turns the session to service mode, as `attach(mode="service")` does: from now on any rank may call.

        Collective.
        """
        _refuse_to_wait("serve")
        library = _native.native()
        seconds = seconds_of(self._timeout if timeout is None else timeout)
        # Imports may be asked for before this has returned here.
        library.import_serve(True)
        try:
            library.serve(self._handle, seconds)
            self._serves = True
            _worker.service.start()
        finally:
            library.import_serve(False)
        for name, futures in self._futures.items():
            for future in futures:
                self._promised(future, name)
        self._futures.clear()

    def tasks(self) -> Tasks:
        """As `dlcast.tasks`, of this session. Local."""
        return Tasks(self._handle)

    def sync(self, *, timeout: float | None = None) -> SyncReport:
        """As `dlcast.sync`, for the ranks of this session."""
        _refuse_to_wait("sync")
        self._argument(lambda: None, timeout)
        report = self._call("DLCAST_VERB_SYNC", None, 0, timeout)
        if report is None:
            raise _would_wait("sync")
        return sync_report(report)

    def record(self) -> AbstractContextManager[None]:
        """As `dlcast.record`, for the ranks of this session."""
        from dlcast._record import recording  # The other way round, record() needs attach().

        return recording(self._handle)

    def _argument(self, read: Callable[[], _T], timeout: float | None, local: bool = False) -> _T:
        """A bad argument still takes part in the round: the other ranks are in it, and must not hang."""
        try:
            seconds_of(timeout)
            return read()
        except Exception as error:
            if not (self._serves or local or _importer.must_not_wait()):
                text = str(error).encode(errors="backslashreplace")
                self._call("DLCAST_VERB_INVALID", text, 0, usable(timeout))
            raise

    def _record(self, request: _Request | _Callback) -> None:
        library = _native.native()
        if isinstance(request, _Callback):
            library.record_code(self._handle, request.code, request.payload, request.tag)
        elif isinstance(request.name, bytes):
            library.record_library(self._handle, request.name, request.flags)
        else:
            library.record_module(self._handle, request.name)

    def _promise(self, name: str) -> Future:
        future = Future(name, lambda seconds: self.sync(timeout=seconds), self._turn)
        if self._serves:
            self._promised(future, name)
            # It is under way now, unless nothing may be asked for here.
            if _importer.must_not_wait():
                self._record(_Request(name))
            else:
                future.done()
        else:
            # Known before it is recorded: a round of another thread may decide at once.
            self._futures.setdefault(name, []).append(future)
            self._record(_Request(name))
        return future

    def _promised(self, future: Future, name: str) -> None:
        library = _native.native()
        verb = library.lib.DLCAST_VERB_IMPORT
        seconds = seconds_of(self._timeout)

        def ask() -> _ModuleAsked:
            if _importer.must_not_wait():
                raise _would_wait("Future.result")
            return _ModuleAsked(library.begin(self._handle, verb, name.encode(), 0, seconds))

        future._serve(ask, threading.Lock())

    def _adopt(self, pending: _Pending) -> None:
        for name, futures in pending.futures.items():
            if self._serves:
                for future in futures:
                    self._promised(future, name)
            else:
                self._futures.setdefault(name, []).extend(futures)
        for request in pending.requests:
            self._record(request)

    def _call(
        self, verb: str, name: bytes | None, flags: int, timeout: float | None
    ) -> dict[str, Any] | None:
        """Runs a collective call that has a verb."""
        library = _native.native()
        number = getattr(library.lib, verb)
        return self._run(lambda seconds: library.begin(self._handle, number, name, flags, seconds), timeout)

    def _run(self, begin: Callable[[float], int | None], timeout: float | None) -> dict[str, Any] | None:
        """Steps one collective call to its end, and gives its report.

        None in native code that a round runs (a constructor or callback that calls Python): the round takes
        the request along.
        """
        seconds = seconds_of(self._timeout if timeout is None else timeout)
        library = _native.native()
        if self._serves:
            asked = Asked(begin(seconds))
            try:
                asked.wait(None)
            finally:
                asked.drop()
            return asked.report
        with Interrupts() as interrupts:
            jobs = _importer.Jobs(self, interrupts)
            call = begin(seconds)
            if call is None:
                return None
            while (step := library.step(call)).status == library.lib.DLCAST_JOB:
                library.answer(call, _importer.do_job(library, jobs, step))
            report = library.report()
        self._decide_futures(report)
        if jobs.interrupt is not None:
            raise jobs.interrupt
        refuse_invalid(report)
        return report

    def _decide_futures(self, report: dict[str, Any]) -> None:
        verdicts: dict[str, GlobalImportError | None] = {}
        for item in report["committed"]:
            if item["kind"] == "module":
                verdicts[item["name"]] = None
        for item in report["undone"]:
            if item["kind"] == "module":
                verdicts[item["name"]] = _import_error(item)
        for name, error in verdicts.items():
            for future in self._futures.pop(name, ()):
                future._decide(error)


class _Unattached:
    """Stands for the session of a communicator that has none yet, where attaching would have to wait."""

    def __init__(self, comm: Any, key: int) -> None:
        self._comm = comm
        self._pending = _pending.setdefault(key, _Pending())

    def import_global(
        self, module: str | ModuleType, check_depth: bool, block: bool, *, timeout: float | None
    ) -> Any:
        name = module_name(module)
        if block:
            return _import_nested(self._record, name, check_depth)
        future = Future(name, lambda seconds: sync(self._comm, timeout=seconds), self._pending.turn)
        self._pending.futures.setdefault(name, []).append(future)
        self._record(_Request(name))
        return future

    def load_global(
        self, path: str | bytes | os.PathLike[Any], mode: int, *, timeout: float | None
    ) -> ctypes.CDLL:
        return _load_nested(self._record, *library_of(path, mode))

    def register_global(self, code: Any, payload: Any, tag: int, *, timeout: float | None) -> None:
        self._record(_callback(code, payload, tag))

    def _record(self, request: _Request | _Callback) -> None:
        self._pending.requests.append(request)


class _ModuleAsked(Asked):
    """The request of a future."""

    def wait(self, seconds: float | None) -> bool:
        """Also raises GlobalImportError."""
        if not super().wait(seconds):
            return False
        report = self.report
        if report is not None and report["own"]["outcome"] == "undone":
            raise _import_error(report["undone"][report["own"]["index"]])
        return True


# By session handle, which is never reused in a process.
_sessions: dict[int, Session] = _worker.sessions
# By communicator: its session, as far as it is known here, and what waits for it to get one.
_attached: dict[int, Session] = {}
_pending: dict[int, _Pending] = {}


def attach(comm: Any = None, *, mode: str | None = None, timeout: float | None = None) -> Session:
    """The session of a communicator.

    Collective at the first call on a communicator, and local from then on. `comm` is an mpi4py
    intracommunicator or anything with a `py2f` method; None is MPI.COMM_WORLD. `mode` is "collective" (every
    rank makes the calls) or "service" (any rank does, at any time; needs MPI_THREAD_MULTIPLE); None, what
    DLCAST_MODE says. `timeout` is the deadline in seconds, of this call and of those on the session that name
    no other; None, what DLCAST_TIMEOUT says; `math.inf`, none at all.
    """
    if mode not in _MODES:
        raise ValueError(f'"mode" must be "collective" or "service", not {mode!r}')
    session = _attach(comm, mode, timeout)
    if timeout is not None:
        session._timeout = timeout
    return session


def import_global(
    module: str | ModuleType,
    check_depth: bool = True,
    block: bool = True,
    *,
    comm: Any = None,
    timeout: float | None = None,
) -> Any:
    """Imports a module on every rank, or on none.

    Collective: every rank calls this, for this module or another one, or `sync`, or `load_global`; in service
    mode any rank calls it, alone or not, and the same goes for all that is collective here. Gives the module.
    Where any rank cannot import it, every rank that asked raises GlobalImportError, which names the ranks
    that failed and holds their tracebacks, and the module is taken out of `sys.modules` again.

    Inside an `import` nothing may wait: there it imports on this rank, and with `check_depth` leaves it to
    the round that this import is part of, if there is one; else it is recorded for the next round. With
    `block=False` it records, and gives a `Future`; in service mode the request is under way then.

    In service mode the body runs on a thread of its own, on every rank. Ranks without Python are left out:
    NoInterpreterWarning names them.
    """
    return _session_of(comm, not block, timeout).import_global(module, check_depth, block, timeout=timeout)


def load_global(
    path: str | bytes | os.PathLike[Any],
    mode: int = ctypes.RTLD_LOCAL,
    *,
    comm: Any = None,
    timeout: float | None = None,
) -> ctypes.CDLL:
    """Loads a shared library on every rank, or on none.

    Collective, as `import_global`; the error is GlobalLoadError. `mode` is what `ctypes.CDLL` takes. The
    other ranks load the same library, whatever its path is there: same name, size, build id and content.
    """
    return _session_of(comm, False, timeout).load_global(path, mode, timeout=timeout)


def register_global(
    code: Any,
    payload: Any = b"",
    tag: int = 0,
    *,
    comm: Any = None,
    timeout: float | None = None,
) -> None:
    """Runs code once in every process, and returns when all have run it and what it asked for is done.

    Collective, as `import_global`; the error is GlobalCallbackError. `code` is a Python function, which is
    called with the payload as bytes and the tag, and fails by raising; or a `CodeRef`; or a ctypes function
    pointer of the C type `dlcast_callback`. A Python function is found by its module and qualified name, so
    it is no lambda, not local to a function, and no method of an instance; the module is imported where it
    is not yet. A call has to run it: an async or generator function is a TypeError. An empty payload means
    that of the `CodeRef`.

    It runs at most once in a process for the same code, tag and payload, whoever asks, whether it fails or
    not.

    Inside an `import`, inside a callback and in a block of `record()` it waits for nothing: it is recorded
    for the round that this is part of, or the next one.
    """
    recordings = _recordings()
    if comm is None and recordings:
        comm = _sessions.get(recordings[-1].session)
    _session_of(comm, False, timeout).register_global(code, payload, tag, timeout=timeout)


def unload_global(
    lib: str | bytes | os.PathLike[Any] | ctypes.CDLL, *, comm: Any = None, timeout: float | None = None
) -> None:
    """Takes a plugin's tasks away on every rank: their ids are stale from now on.

    Collective, as `load_global`; the error is GlobalLoadError, where the session has not loaded it. The
    library itself stays mapped; loading it again brings its tasks back, under new ids.
    """
    _refuse_to_wait("unload_global")
    _attach(comm, None, usable(timeout)).unload_global(lib, timeout=timeout)


def tasks(comm: Any = None) -> Tasks:
    """The tasks of the plugins that every rank has loaded: `tasks()["plugin"]["task"]`, or `tasks()[id]`.

    What is not there is a TaskLookupError, which is a KeyError. Local, but for the first use of a
    communicator, which attaches to it.
    """
    return _attach(comm, None, None).tasks()


def sync(comm: Any = None, *, timeout: float | None = None) -> SyncReport:
    """Agrees on everything that any rank has recorded.

    Collective. In service mode it waits for what this rank has recorded, and for no other rank to call it.
    What could not be done everywhere is undone and in the report, which is then false; it is not raised.
    """
    _refuse_to_wait("sync")
    return _attach(comm, None, usable(timeout)).sync(timeout=timeout)


def leave() -> None:
    """Says goodbye to all sessions in service mode, and serves on until every rank has.

    The end of the program does it by itself; `MPI.Finalize()`, which keeps other threads from Python, comes
    after it.
    """
    _refuse_to_wait("leave")
    _native.native().leave()


def _attach(comm: Any, mode: str | None, timeout: float | None) -> Session:
    if isinstance(comm, Session):
        return comm
    owner = _importer.owner()
    if comm is None and isinstance(owner, Session):
        return owner
    key = key_of(comm)
    if _importer.must_not_wait():
        if key not in _attached:
            raise _would_wait("attach")
        return _attached[key]
    library = _native.native()
    seconds = seconds_of(timeout)
    # In service mode imports may be asked for before attach has returned here.
    is_new = key not in _attached
    if is_new:
        library.import_serve(True)
    try:
        handle = library.attach(key, getattr(library.lib, _MODES[mode]), seconds)
        if handle not in _sessions:
            _sessions[handle] = Session(handle)
        session = _attached[key] = _sessions[handle]
        if session._serves:
            _worker.service.start()
    finally:
        if is_new:
            library.import_serve(False)
    if key in _pending:
        session._adopt(_pending.pop(key))
    return session


def _session_of(comm: Any, local: bool, timeout: float | None) -> Session | _Unattached:
    """The session to use: attached now, unless this call must not wait for other ranks."""
    if isinstance(comm, Session):
        return comm
    if local or _importer.must_not_wait():
        owner = _importer.owner()
        if comm is None and isinstance(owner, Session):
            return owner
        key = key_of(comm)
        return _attached.get(key) or _Unattached(comm, key)
    return _attach(comm, None, usable(timeout))


def _refuse_to_wait(call: str) -> None:
    if _importer.must_not_wait():
        raise _would_wait(call)


def _would_wait(call: str) -> SessionError:
    if _importer.inside_import():
        return SessionError(
            f"{call}() inside an import would wait for other ranks while this one holds a module's lock; "
            "call it after the import"
        )
    return SessionError(
        f"{call}() inside a callback would wait for other ranks, which wait for it; call it afterwards"
    )


def _recordings() -> list[Any]:
    """The blocks of `record()` that this thread is in."""
    from dlcast import _record  # The other way round, record() needs attach().

    return _record.of_this_thread()


def _import_nested(record: Callable[[_Request], None], name: str, check_depth: bool) -> ModuleType:
    module = _importer.import_here(name)
    # In an import of a round, every rank runs the enclosing module's body, and so this very line.
    if _importer.inside_callback() or not (check_depth and _importer.inside_job()):
        record(_Request(name))
    return module


def _load_nested(record: Callable[[_Request], None], path: bytes, flags: int) -> ctypes.CDLL:
    library = ctypes.CDLL(os.fsdecode(path), flags)
    record(_Request(path, flags))
    return library


def _callback(code: Any, payload: Any, tag: Any) -> _Callback:
    return _Callback(to_run(code).to_bytes(), payload_of(payload), tag_of(tag))


def _raise_undone(
    report: dict[str, Any] | None, error: type[GlobalCallbackError] | type[GlobalLoadError]
) -> None:
    if report is not None and report["own"]["outcome"] == "undone":
        item = undone(report["undone"][report["own"]["index"]])
        raise error(str(item), failures=item.failures)


def _import_error(item: dict[str, Any]) -> GlobalImportError:
    what = undone(item)
    return GlobalImportError(str(what), name=what.name, failures=what.failures)
