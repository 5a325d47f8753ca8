"""libdlcast.so, loaded at first use and described by its own C header. The only user of cffi."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cffi

from dlcast._errors import SessionError, SessionTimeout
from dlcast._importer import Failure

_FOLDER = Path(__file__).with_name("_lib")
_SONAME = "libdlcast.so.0"


class Step(NamedTuple):
    """Where a call is: over, and its report is there; or waiting for a job to be done."""

    status: int
    job: int = 0
    name: str = ""


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

    def _open(self) -> Any:
        # cffi closes it when Python ends, and MPI_Finalize, which comes later, calls into it.
        flags = os.RTLD_NOW | os.RTLD_LOCAL | os.RTLD_NODELETE
        try:
            # A C++ host may have brought the library: one runtime in a process.
            return self._ffi.dlopen(_SONAME, flags | os.RTLD_NOLOAD)
        except OSError:
            pass
        try:
            return self._ffi.dlopen(str(_FOLDER / "libdlcast.so"), flags)
        except OSError as error:
            raise SessionError(f"libdlcast.so cannot be loaded: {error}") from error

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

    def record_library(self, session: int, path: bytes, flags: int) -> None:
        """Leaves a request for the next round."""
        self._check(self.lib.dlcast_record_library(session, path, flags))

    def record_module(self, session: int, name: str) -> None:
        """Leaves a request for the next round."""
        self._check(self.lib.dlcast_record_module(session, name.encode()))

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

    def begin(self, session: int, verb: int, name: bytes | None, flags: int, timeout: float) -> int:
        """Starts a collective call."""
        call = self._ffi.new("dlcast_call *")
        argument = self._ffi.NULL if name is None else name
        self._check(self.lib.dlcast_call_begin(session, verb, argument, flags, timeout, call))
        return int(call[0])

    def step(self, call: int) -> Step:
        """Waits, without the GIL, for the end of the call or for a job. An unusable session is raised."""
        job = self._ffi.new("dlcast_job *")
        return self._step(self.lib.dlcast_call_step(call, job), job)

    def answer(self, call: int, failure: Failure | None) -> None:
        """How the job went."""
        message, trace = self._texts(failure)
        self._check(self.lib.dlcast_call_answer(call, message, trace))

    def import_next(self, timeout: float) -> Step:
        """Waits, without the GIL, for an import that a caller in C or Rust asks for."""
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

    def _step(self, status: int, job: Any) -> Step:
        if status == self.lib.DLCAST_JOB:
            return Step(status, job.kind, self._text(job.name))
        if status == self.lib.DLCAST_INVALID and self.report().get("own"):
            # A bad argument that has taken part in a round, which has a report.
            return Step(status)
        self._check(status, self.lib.DLCAST_UNDONE)
        return Step(status)

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


@functools.cache
def native() -> Native:
    """The one library of the process."""
    return Native()


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


def _c_string(text: str) -> bytes:
    """NUL would end it early, and a lone surrogate has no UTF-8."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace")
