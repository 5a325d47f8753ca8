"""libdlcast.so, loaded at first use and described by its own C header. The only user of cffi."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cffi

from dlcast._errors import SessionError, SessionTimeout, TaskLookupError
from dlcast._first import first
from dlcast._importer import Failure

_FOLDER = Path(__file__).with_name("_lib")
_SONAME = "libdlcast.so.0"


class Step(NamedTuple):
    """Where a call is: over, and its report is there; or waiting for a job to be done."""

    status: int
    job: int = 0
    name: str = ""
    payload: bytes = b""
    tag: int = 0
    session: int = 0
    """Whose round it is for."""


class TaskEntry(NamedTuple):
    """A task, as the library knows it."""

    id: int
    plugin: str
    name: str
    signature: str
    address: int


class Native:
    """The C ABI with Python's types: strings are copied, a status that is no result is raised."""

    def __init__(self) -> None:
        """Loads the library."""
        self._ffi = cffi.FFI()
        try:
            header = (_FOLDER / "dlcast.h").read_text()
        except FileNotFoundError as error:
            raise SessionError("the package lacks its library: install it by pip install ./python") from error
        self._ffi.cdef("\n".join(declarations(header)))
        self.lib: Any = self._open()
        for plan in _plans:
            self.layers_install(plan)
        first.outside = self._open_needs

    def _open(self) -> Any:
        # cffi closes it when Python ends, and MPI_Finalize, which comes later, calls into it.
        flags = os.RTLD_NOW | os.RTLD_LOCAL | os.RTLD_NODELETE
        # A C++ host may have brought the library: one runtime in a process.
        if _is_loaded(_SONAME):
            return self._ffi.dlopen(_SONAME, flags)
        path = str(_FOLDER / "libdlcast.so")
        try:
            # It needs an MPI, which a layer may have. cffi tells no audit hook what it opens.
            first.before(path)
            return self._ffi.dlopen(path, flags)
        except OSError as error:
            raise SessionError(f"libdlcast.so cannot be loaded: {error}") from error

    def layers_install(self, plan: str) -> None:
        """What the library itself opens follows the plan from now on. Needs no MPI."""
        self._check(self.lib.dlcast_layers_install(plan.encode()))

    def _open_needs(self, path: str) -> None:
        if self.lib.dlcast_layers_open_needs(os.fsencode(path)) != self.lib.DLCAST_OK:
            raise OSError(self._ffi.string(self.lib.dlcast_last_error()).decode(errors="replace"))

    def attach(self, comm: int, mode: int, timeout: float) -> int:
        """The session of a communicator."""
        session = self._ffi.new("dlcast_session *")
        self._check(self.lib.dlcast_attach(comm, mode, timeout, session))
        return int(session[0])

    def rank_and_size(self, session: int) -> tuple[int, int]:
        """Of the session's communicator."""
        rank, size = self._ffi.new("int32_t *"), self._ffi.new("int32_t *")
        self._check(self.lib.dlcast_session_info(session, rank, size))
        return int(rank[0]), int(size[0])

    def serves(self, session: int) -> bool:
        """Whether it is in service mode."""
        mode = self._ffi.new("int32_t *")
        self._check(self.lib.dlcast_session_mode(session, mode))
        return int(mode[0]) == int(self.lib.DLCAST_SERVICE)

    def serve(self, session: int, timeout: float) -> None:
        """Turns it to service mode."""
        self._check(self.lib.dlcast_serve(session, timeout))

    def leave(self) -> None:
        """Says goodbye, and waits, without the GIL, until every rank has."""
        self._check(self.lib.dlcast_leave())

    def record_library(self, session: int, path: bytes, flags: int) -> None:
        """Leaves a request for the next round."""
        self._check(self.lib.dlcast_record_library(session, path, flags))

    def record_module(self, session: int, name: str) -> None:
        """Leaves a request for the next round."""
        self._check(self.lib.dlcast_record_module(session, name.encode()))

    def record_code(self, session: int, code: bytes, payload: bytes, tag: int) -> None:
        """Leaves a request for the next round."""
        self._check(self.lib.dlcast_record_code(session, code, len(code), payload, len(payload), tag))

    def recording_begin(self, session: int) -> int:
        """From now on, what is opened in the process is seen."""
        recording = self._ffi.new("dlcast_recording *")
        self._check(self.lib.dlcast_recording_begin(session, recording))
        return int(recording[0])

    def recording_opened(self, recording: int, path: bytes, flags: int) -> None:
        """A dlopen whose flags are known."""
        self._check(self.lib.dlcast_recording_opened(recording, path, flags))

    def recording_cover_begin(self, recording: int) -> None:
        """What is opened from now on belongs to a module."""
        self._check(self.lib.dlcast_recording_cover_begin(recording))

    def recording_cover_end(self, recording: int) -> None:
        """The module's import is over."""
        self._check(self.lib.dlcast_recording_cover_end(recording))

    def recording_module(self, recording: int, name: str) -> None:
        """A module that was imported."""
        self._check(self.lib.dlcast_recording_module(recording, name.encode()))

    def recording_end(self, recording: int, keep: bool) -> None:
        """What was seen becomes requests of the session, or is forgotten."""
        self._check(self.lib.dlcast_recording_end(recording, keep))

    def begin(self, session: int, verb: int, name: bytes | None, flags: int, timeout: float) -> int | None:
        """Starts a collective call. None: inside native code that a round runs; the request is recorded."""
        call = self._ffi.new("dlcast_call *")
        argument = self._ffi.NULL if name is None else name
        return self._begun(self.lib.dlcast_call_begin(session, verb, argument, flags, timeout, call), call)

    def begin_register(
        self, session: int, code: bytes, payload: bytes, tag: int, timeout: float
    ) -> int | None:
        """As `begin`, for code that every process is to run once."""
        call = self._ffi.new("dlcast_call *")
        status = self.lib.dlcast_call_begin_register(
            session, code, len(code), payload, len(payload), tag, timeout, call
        )
        return self._begun(status, call)

    def _begun(self, status: int, call: Any) -> int | None:
        self._check(status, self.lib.DLCAST_NESTED)
        return None if status == self.lib.DLCAST_NESTED else int(call[0])

    def step(self, call: int) -> Step:
        """Waits, without the GIL, for the end of the call or for a job. An unusable session is raised."""
        job = self._ffi.new("dlcast_job *")
        return self._step(self.lib.dlcast_call_step(call, job), job)

    def step_within(self, call: int, seconds: float) -> Step | None:
        """In service mode: as `step`, but None when that time has passed."""
        job = self._ffi.new("dlcast_job *")
        status = self.lib.dlcast_call_step_within(call, seconds, job)
        return None if status == self.lib.DLCAST_PENDING else self._step(status, job)

    def drop(self, call: int) -> None:
        """Nobody waits for this call in service mode any more, if it has not ended."""
        self.lib.dlcast_call_drop(call)

    def answer(self, call: int, failure: Failure | None) -> None:
        """How the job went."""
        message, trace = self._texts(failure)
        self._check(self.lib.dlcast_call_answer(call, message, trace))

    def import_serve(self, on: bool) -> None:
        """A worker serves from now on, or retires."""
        self._check(self.lib.dlcast_import_serve(on))

    def import_wanted(self) -> bool:
        """Whether anybody waits for the job that this thread does."""
        return bool(self.lib.dlcast_import_wanted())

    def import_next(self, timeout: float) -> Step:
        """Waits, without the GIL, for what a caller in C or Rust wants imported or called."""
        job = self._ffi.new("dlcast_job *")
        return self._step(self.lib.dlcast_import_next(timeout, job), job)

    def import_answer(self, failure: Failure | None) -> None:
        """How it went."""
        message, trace = self._texts(failure)
        self._check(self.lib.dlcast_import_answer(message, trace))

    def report(self) -> dict[str, Any]:
        """Of the last call of this thread."""
        report: dict[str, Any] = json.loads(self._text(self.lib.dlcast_last_report()))
        return report

    def code_of(self, address: int, signature: str, payload: bytes) -> bytes:
        """Names a function of this process."""
        function = self._ffi.cast("void *", address)
        return self._code(self.lib.dlcast_code_of, function, _argument("signature", signature), payload)

    def code_symbol(self, library: bytes, symbol: str | None, signature: str, payload: bytes) -> bytes:
        """Names a function by its library and symbol; or the library alone."""
        name = self._ffi.NULL if symbol is None else _argument("name", symbol)
        signature_ = _argument("signature", signature)
        return self._code(self.lib.dlcast_code_symbol, library, name, signature_, payload)

    def code_python(self, module: str, qualname: str, signature: str, payload: bytes) -> bytes:
        """Names a function of a module."""
        place = _argument("module", module), _argument("qualname", qualname)
        return self._code(self.lib.dlcast_code_python, *place, _argument("signature", signature), payload)

    def _code(self, make: Any, *arguments: Any) -> bytes:
        *named, payload = arguments
        length = self._ffi.new("size_t *")
        self._check(make(*named, payload, len(payload), self._ffi.NULL, length))
        room = self._ffi.new("char[]", length[0])
        self._check(make(*named, payload, len(payload), room, length))
        return bytes(self._ffi.buffer(room, length[0]))

    def code_read(self, code: bytes) -> tuple[dict[str, Any], bytes]:
        """What a code reference says, and its payload."""
        payload, length = self._ffi.new("void **"), self._ffi.new("size_t *")
        self._check(self.lib.dlcast_code_read(code, len(code), payload, length))
        return self.report(), self._bytes(payload[0], length[0])

    def code_resolve(self, session: int, code: bytes, signature: str | None) -> int:
        """The address of code in this process; 0 for a library alone."""
        function = self._ffi.new("void **")
        expected = self._ffi.NULL if signature is None else _argument("signature", signature)
        self._check(self.lib.dlcast_code_resolve(session, code, len(code), expected, function))
        return int(self._ffi.cast("uintptr_t", function[0]))

    def plugins(self, session: int) -> list[dict[str, Any]]:
        """The loaded ones: number, name, version, tasks."""
        self._check(self.lib.dlcast_plugins(session))
        plugins: list[dict[str, Any]] = self.report()["plugins"]
        return plugins

    def task_find(self, session: int, plugin: str, name: str) -> TaskEntry:
        """By the names of plugin and task; else TaskLookupError."""
        task = self._ffi.new("dlcast_task *")
        names = _argument("plugin", plugin), _argument("name", name)
        return self._task(self.lib.dlcast_task_find(session, *names, task), task)

    def task_get(self, session: int, number: int) -> TaskEntry:
        """By its id; else TaskLookupError."""
        task = self._ffi.new("dlcast_task *")
        return self._task(self.lib.dlcast_task_get(session, number, task), task)

    def _task(self, status: int, task: Any) -> TaskEntry:
        if status == self.lib.DLCAST_INVALID:
            raise TaskLookupError(self._text(self.lib.dlcast_last_error()))
        self._check(status)
        plugin, name, signature = (self._text(text) for text in (task.plugin, task.name, task.signature))
        return TaskEntry(
            int(task.id), plugin, name, signature, int(self._ffi.cast("uintptr_t", task.function))
        )

    def address_of(self, view: memoryview, writable: bool) -> tuple[int, Any]:
        """Where the bytes of a buffer are, and what keeps them there."""
        lend: Any = self._ffi.from_buffer  # Its types want a literal.
        keeper = lend(view, require_writable=writable)
        return int(self._ffi.cast("uintptr_t", keeper)), keeper

    def _step(self, status: int, job: Any) -> Step:
        if status == self.lib.DLCAST_JOB:
            payload = self._bytes(job.payload, job.length)
            return Step(status, job.kind, self._text(job.name), payload, job.tag, job.session)
        if status == self.lib.DLCAST_INVALID and self.report().get("own"):
            # A bad argument that has taken part in a round, which has a report.
            return Step(status)
        self._check(status, self.lib.DLCAST_UNDONE)
        return Step(status)

    def _bytes(self, pointer: Any, length: int) -> bytes:
        return bytes(self._ffi.buffer(pointer, length)) if length else b""

    def _text(self, pointer: Any) -> str:
        copied: Any = self._ffi.string(pointer)
        return str(copied, errors="replace")

    def _texts(self, failure: Failure | None) -> tuple[Any, Any]:
        null = self._ffi.NULL
        if failure is None:
            return null, null
        return _c_string(failure.message), null if failure.traceback is None else _c_string(failure.traceback)

    def _check(self, status: int, *results: int) -> None:
        if status in (self.lib.DLCAST_OK, *results):
            return
        text = self._text(self.lib.dlcast_last_error())
        if status == self.lib.DLCAST_INVALID:
            raise ValueError(text)
        if status == self.lib.DLCAST_TIMEOUT:
            raise SessionTimeout(text)
        raise SessionError(text)


def _is_loaded(soname: str) -> bool:
    """Whether the process has it.

    Not asked by cffi: where the file can be found but is not loaded, dlerror has no text, and cffi prints it.
    """
    try:
        ctypes.CDLL(soname, mode=os.RTLD_LAZY | os.RTLD_NOLOAD)
    except OSError:
        return False
    return True


# Of layers: the library may come later.
_plans: list[str] = []


@functools.cache
def native() -> Native:
    """The one library of the process."""
    return Native()


_cached = native


def install(plan: str) -> None:
    """Gives a plan to the library, now or when it is loaded."""
    _plans.append(plan)
    if _cached.cache_info().currsize:
        _cached().layers_install(plan)


def declarations(header: str) -> Iterator[str]:
    """The lines of a C header that cffi reads: no C++, no directives but integer constants."""
    kept = [True]
    for line in _without_comments(header).splitlines():
        directive = re.match(r"\s*#\s*(\w+)\s*(.*)", line)
        if directive is None:
            if all(kept):
                yield line
            continue
        word, rest = directive[1], directive[2].strip()
        # Every #if of the header asks for C++ or a later C, every #ifndef for their absence.
        if word in ("if", "ifdef", "ifndef"):
            kept.append(word == "ifndef")
        elif word in ("else", "elif"):
            kept[-1] = word == "else" and not kept[-1]
        elif word == "endif":
            kept.pop()
        elif word == "define" and all(kept):
            constant = re.fullmatch(r"(\w+)\s+\(?(-?(?:0x[0-9a-fA-F]+|\d+)|INT32_MIN)\)?", rest)
            if constant:
                yield f"#define {constant[1]} {constant[2].replace('INT32_MIN', str(-(2**31)))}"


def _without_comments(header: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", header, flags=re.DOTALL)


def _argument(what: str, text: str) -> bytes:
    """For C, which would end at a NUL without a word."""
    if not isinstance(text, str):
        raise TypeError(f'"{what}" must be a str, not {type(text).__name__}')
    if "\0" in text:
        raise ValueError(f'"{what}" contains a NUL: {text!r}')
    return text.encode()


def _c_string(text: str) -> bytes:
    """NUL would end it early, and a lone surrogate has no UTF-8."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace")
