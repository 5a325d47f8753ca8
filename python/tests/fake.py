"""A native layer without ranks: remembers what it is told, and answers calls from a script."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import cffi

from dlcast._native import Step

JOB, IMPORT, COMMIT, UNDO, CALL, REVOKE = 100, 1, 2, 3, 4, 5
NOTHING: dict[str, Any] = {"rounds": 0, "committed": [], "undone": [], "copies": [], "own": None}


def committed(name: str, **own: Any) -> dict[str, Any]:
    """The report of a round that committed one module."""
    item = {"kind": "module", "name": name, "ranks": [0]}
    return {**NOTHING, "rounds": 1, "committed": [item], "own": {"outcome": "committed", **own}}


def undone(name: str, **failure: Any) -> dict[str, Any]:
    """The report of a round that undid one module."""
    item = {"kind": "module", "name": name, "error": f"import of `{name}` failed", "failures": [failure]}
    return {**NOTHING, "rounds": 1, "undone": [item], "own": {"outcome": "undone", "index": 0}}


class FakeNative:
    """What `_native.Native` does, without a library."""

    lib = SimpleNamespace(
        DLCAST_OK=0,
        DLCAST_UNDONE=1,
        DLCAST_JOB=JOB,
        DLCAST_COMM_WORLD=-(2**31),
        DLCAST_DEFAULT_MODE=-1,
        DLCAST_VERB_SYNC=0,
        DLCAST_VERB_LOAD=1,
        DLCAST_VERB_IMPORT=2,
        DLCAST_VERB_INVALID=3,
        DLCAST_JOB_IMPORT=IMPORT,
        DLCAST_JOB_COMMIT=COMMIT,
        DLCAST_VERB_UNLOAD=4,
        DLCAST_JOB_UNDO=UNDO,
        DLCAST_JOB_REVOKE=REVOKE,
        DLCAST_JOB_CALL=CALL,
    )

    def __init__(self) -> None:
        self._ffi = cffi.FFI()
        self.told: list[tuple[Any, ...]] = []
        self.steps: list[Any] = []
        self.reports: list[dict[str, Any]] = []
        self.answers: list[Any] = []
        self.nested = False

    def address_of(self, view: memoryview, writable: bool) -> tuple[int, Any]:
        keeper = self._ffi.from_buffer(view, require_writable=writable)
        return int(self._ffi.cast("uintptr_t", keeper)), keeper

    def attach(self, comm: int, mode: int, timeout: float) -> int:
        return 7

    def rank_and_size(self, session: int) -> tuple[int, int]:
        return 0, 1

    def serves(self, session: int) -> bool:
        return False

    def import_serve(self, on: bool) -> None:
        pass

    def begin(self, session: int, verb: int, name: bytes | None, flags: int, timeout: float) -> int | None:
        self.told.append(("call", verb, name))
        return None if self.nested else 1

    def begin_register(
        self, session: int, code: bytes, payload: bytes, tag: int, timeout: float
    ) -> int | None:
        self.told.append(("register", code, payload, tag))
        return None if self.nested else 1

    def code_python(self, module: str, qualname: str, signature: str, payload: bytes) -> bytes:
        return json.dumps([module, qualname, signature, payload.decode()]).encode()

    def code_read(self, code: bytes) -> tuple[dict[str, Any], bytes]:
        module, qualname, signature, payload = json.loads(code)
        said = {"kind": "python", "module": module, "qualname": qualname, "signature": signature}
        return {"code": f"{module}:{qualname}", **said}, payload.encode()

    def step(self, call: int) -> Step:
        step = self.steps.pop(0) if self.steps else Step(0)
        return step() if callable(step) else step

    def answer(self, call: int, failure: Any) -> None:
        self.answers.append(failure)

    def report(self) -> dict[str, Any]:
        return self.reports.pop(0) if self.reports else NOTHING

    def recording_begin(self, session: int) -> int:
        self.told.append(("begin",))
        return sum(event == ("begin",) for event in self.told)

    def recording_end(self, recording: int, keep: bool) -> None:
        self.told.append(("end" if keep else "forget", recording))

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("record"):
            raise AttributeError(name)
        return lambda *arguments: self.told.append((name.removeprefix("recording_"), *arguments))
