"""Calls of one rank against a scripted library: arguments, futures, nesting, Ctrl-C."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import math
import os
import signal
import sys
from pathlib import Path

import fake
import pytest
from fake import CALL, COMMIT, IMPORT, JOB, UNDO

import dlcast
from dlcast._native import Step

INVALID = 3


def test_an_import_is_done_in_the_callers_thread(write, native):
    write("wanted.py", "import threading\nthread = threading.current_thread()")
    native.steps = [Step(JOB, IMPORT, "wanted"), Step(JOB, COMMIT, "wanted"), Step(0)]
    native.reports = [fake.committed("wanted")]
    wanted = dlcast.import_global("wanted")
    assert wanted is sys.modules["wanted"]
    assert native.answers == [None, None]


def test_an_undone_import_raises_and_leaves_nothing(write, native):
    write("wanted.py")
    native.steps = [Step(JOB, IMPORT, "wanted"), Step(JOB, UNDO, "wanted"), Step(1)]
    native.reports = [
        fake.undone("wanted", ranks=[1], hosts=["n"], phase="import", message="KeyError: 1", traceback="T")
    ]
    with pytest.raises(dlcast.GlobalImportError, match="on rank 1:\n    T") as caught:
        dlcast.import_global("wanted")
    assert caught.value.name == "wanted"
    assert [failure.rank for failure in caught.value.failures] == [1]
    assert "wanted" not in sys.modules


def test_a_module_object_counts_by_its_name(native):
    native.reports = [fake.committed("math")]
    assert dlcast.import_global(math) is math
    assert native.told == [("call", 2, b"math")]


@pytest.mark.parametrize("module", [3, None, b"os", ["os"]])
def test_a_wrong_type_takes_part_and_is_a_type_error(native, module):
    text = '"module" arg to "import_global" must be a ModuleType or str type'
    with pytest.raises(TypeError) as caught:
        dlcast.import_global(module)
    assert str(caught.value) == text
    assert native.told == [("call", INVALID, text.encode())]


@pytest.mark.parametrize("module", ["", ".relative", "a\0b", "a\udc80"])
def test_a_name_that_is_none_takes_part_and_is_a_value_error(native, module):
    with pytest.raises(ValueError, match="import_global"):
        dlcast.import_global(module)
    assert native.told[0][:2] == ("call", INVALID)


def test_an_argument_that_only_the_library_refuses_is_a_value_error(native):
    native.reports = [{**fake.NOTHING, "own": {"outcome": "invalid", "error": "dlopen flags 0x4"}}]
    with pytest.raises(ValueError, match="0x4"):
        dlcast.load_global("/lib/x.so", 4)


@pytest.mark.parametrize(("path", "mode"), [(3.5, 0), ("x", "RTLD_GLOBAL"), (None, 0)])
def test_a_wrong_path_or_mode_takes_part_and_is_a_type_error(native, path, mode):
    with pytest.raises(TypeError):
        dlcast.load_global(path, mode)
    assert native.told[0][:2] == ("call", INVALID)


@pytest.mark.parametrize("path", ["/lib/x.so", b"/lib/x.so", Path("/lib/x.so")])
def test_a_library_comes_as_a_cdll_of_its_own_handle(native, path):
    handle = ctypes.CDLL(None)._handle
    native.reports = [fake.committed("x.so", path="/lib/x.so", handle=handle)]
    library = dlcast.load_global(path)
    assert (library._name, library._handle) == ("/lib/x.so", handle)
    assert native.told == [("call", 1, b"/lib/x.so")]


@pytest.mark.parametrize("timeout", [-1, math.nan])
def test_a_timeout_is_a_number_of_seconds(native, timeout):
    with pytest.raises(ValueError, match="seconds"):
        dlcast.sync(timeout=timeout)


def test_a_mode_is_one_of_two(native):
    with pytest.raises(ValueError, match='"collective" or "service"'):
        dlcast.attach(mode="both")


@pytest.mark.parametrize("comm", [3, "world", object()])
def test_a_communicator_is_expected(native, comm):
    with pytest.raises(TypeError, match="expecting an intracommunicator"):
        dlcast.attach(comm)


def test_anything_with_py2f_is_a_communicator(native):
    class Comm:
        def py2f(self):
            return 5

    assert dlcast.attach(Comm()) is dlcast.attach(Comm())


def test_a_future_is_decided_by_any_later_round(write, native):
    write("wanted.py")
    session = dlcast.attach()
    future = session.import_global("wanted", block=False)
    assert native.told == [("record_module", 7, "wanted")]
    assert not future.done()
    native.steps = [Step(JOB, IMPORT, "wanted"), Step(JOB, COMMIT, "wanted"), Step(0)]
    native.reports = [fake.committed("wanted")]
    session.sync()
    calls = len(native.told)
    assert future.done()
    assert future.exception() is None
    assert future.result() is sys.modules["wanted"]
    assert len(native.told) == calls


def test_a_pending_future_runs_the_round_itself(native):
    future = dlcast.import_global("wanted", block=False)
    assert native.told == []
    native.reports = [
        fake.undone("wanted", ranks=[0], hosts=["n"], phase="import", message="m", traceback=None)
    ]
    with pytest.raises(dlcast.GlobalImportError, match="wanted"):
        future.result()
    assert native.told == [("record_module", 7, "wanted"), ("call", 0, None)]
    assert future.done()
    assert isinstance(future.exception(), dlcast.GlobalImportError)


def test_a_future_that_no_round_decides_says_so(native):
    future = dlcast.import_global("wanted", block=False)
    with pytest.raises(dlcast.SessionError, match="wanted"):
        future.result()


def test_inside_a_plain_import_it_imports_here_and_records(write, native):
    write("outer.py", "import dlcast\ninner = dlcast.import_global('inner')")
    write("inner.py")
    dlcast.attach()
    import outer

    assert outer.inner is sys.modules["inner"]
    assert native.told == [("record_module", 7, "inner")]


def test_inside_a_plain_import_before_attach_it_is_recorded_for_later(write, native):
    libm = ctypes.util.find_library("m")
    write("outer.py", f"import dlcast\ndlcast.import_global('inner')\ndlcast.load_global({libm!r})")
    write("inner.py")
    importlib.import_module("outer")
    assert native.told == []
    dlcast.attach()
    assert native.told == [
        ("record_module", 7, "inner"),
        ("record_library", 7, libm.encode(), os.RTLD_NOW),
    ]


@pytest.mark.parametrize("check_depth", [True, False])
def test_inside_a_round_check_depth_decides_about_a_request_of_its_own(write, native, check_depth):
    write("outer.py", f"import dlcast\ndlcast.import_global('inner', {check_depth})")
    write("inner.py")
    native.steps = [Step(JOB, IMPORT, "outer"), Step(JOB, COMMIT, "outer"), Step(0)]
    native.reports = [fake.committed("outer")]
    dlcast.import_global("outer")
    assert native.answers == [None, None]
    assert (("record_module", 7, "inner") in native.told) is not check_depth


@pytest.mark.parametrize("call", ["sync()", "attach()", "import_global('x', block=False).result()"])
def test_nothing_waits_inside_an_import(write, native, call):
    write("outer.py", f"import dlcast\ndlcast.{call}")
    with pytest.raises(dlcast.SessionError, match="inside an import"):
        importlib.import_module("outer")


def test_a_bad_argument_inside_an_import_waits_for_nobody(write, native):
    write("outer.py", "import dlcast\ndlcast.import_global(3)")
    dlcast.attach()
    with pytest.raises(TypeError):
        importlib.import_module("outer")
    assert native.told == []


def interrupt():
    signal.raise_signal(signal.SIGINT)
    return Step(JOB, COMMIT, "x")


def test_an_interrupt_while_waiting_comes_after_the_round(native):
    native.steps = [interrupt, Step(0)]
    with pytest.raises(KeyboardInterrupt):
        dlcast.sync()
    assert native.answers == [None]
    assert native.steps == []


def test_an_interrupted_body_is_answered_first(write, native):
    write("slow.py", "import signal\nsignal.raise_signal(signal.SIGINT)\nreached = True")
    native.steps = [Step(JOB, IMPORT, "slow"), Step(1)]
    with pytest.raises(KeyboardInterrupt):
        dlcast.sync()
    assert native.answers[0].message == "KeyboardInterrupt"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def noted(payload, tag):
    calls.append((payload, tag))


calls: list[tuple[bytes, int]] = []
NAME = f"{__name__}:noted"


def undone_callback(**failure):
    report = fake.undone(NAME, **failure)
    report["undone"][0]["kind"] = "callback"
    return report


def test_a_callback_is_called_in_the_callers_thread(native, monkeypatch):
    monkeypatch.setitem(globals(), "calls", [])
    native.steps = [Step(JOB, CALL, NAME, b"payload", 7), Step(0)]
    native.reports = [{**fake.NOTHING, "own": {"outcome": "committed"}}]
    assert dlcast.register_global(noted, b"payload", 7) is None
    assert calls == [(b"payload", 7)]
    assert native.told == [("register", dlcast.CodeRef.of(noted).to_bytes(), b"payload", 7)]


def test_a_callback_that_failed_on_some_rank_raises(native):
    native.reports = [
        undone_callback(ranks=[2], hosts=["n"], phase="callback", message="KeyError: 1", traceback="T")
    ]
    with pytest.raises(dlcast.GlobalCallbackError, match="on rank 2:\n    T") as caught:
        dlcast.register_global(noted)
    assert [failure.rank for failure in caught.value.failures] == [2]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("noted",), TypeError),
        ((lambda payload, tag: None,), ValueError),
        ((noted, "text"), TypeError),
        ((noted, b"", -1), ValueError),
        ((noted, b"", 1 << 64), ValueError),
        ((noted, b"", 1.0), TypeError),
    ],
)
def test_wrong_code_or_payload_or_tag_takes_part_and_raises(native, arguments, error):
    with pytest.raises(error) as caught:
        dlcast.register_global(*arguments)
    assert native.told == [("call", INVALID, str(caught.value).encode())]


def test_a_callback_may_ask_for_more_and_waits_for_nothing(write, native, monkeypatch):
    libm = ctypes.util.find_library("m")
    write("inner.py")
    write(
        "asks.py",
        f"""
        import dlcast
        refused = []
        def call(payload, tag):
            dlcast.import_global("inner")
            dlcast.load_global({libm!r})
            dlcast.register_global(call, payload, 1)
            for wait in (dlcast.sync, lambda: dlcast.unload_global({libm!r})):
                try:
                    wait()
                except dlcast.SessionError as error:
                    refused.append(str(error))
        """,
    )
    session = dlcast.attach()
    native.steps = [Step(JOB, CALL, "asks:call", b"x", 0), Step(0)]
    session.sync()
    code = dlcast.CodeRef.of(sys.modules["asks"].call).to_bytes()
    assert native.answers == [None]
    assert native.told == [
        ("call", 0, None),
        ("record_module", 7, "inner"),
        ("record_library", 7, libm.encode(), os.RTLD_NOW),
        ("record_code", 7, code, b"x", 1),
    ]
    assert all("inside a callback" in text for text in sys.modules["asks"].refused)
    assert len(sys.modules["asks"].refused) == 2


def test_inside_a_plain_import_a_callback_is_recorded_for_later(write, native):
    write("outer.py", "import dlcast\ndef call(p, t): pass\ndlcast.register_global(call, b'x', tag=2)")
    importlib.import_module("outer")
    assert native.told == []
    dlcast.attach()
    code = dlcast.CodeRef.of(sys.modules["outer"].call).to_bytes()
    assert native.told == [("record_code", 7, code, b"x", 2)]


def test_native_code_of_a_round_that_calls_python_waits_for_nothing(write, native):
    write("inner.py")
    session = dlcast.attach()
    native.nested = True
    session.register_global(noted)
    assert session.import_global("inner") is sys.modules["inner"]
    assert session.load_global(ctypes.util.find_library("m"))._handle
    session.unload_global("libx.so")
    with pytest.raises(dlcast.SessionError, match="inside a callback"):
        session.sync()
    assert [event[0] for event in native.told] == ["register"] + ["call"] * 4


@pytest.mark.parametrize("lib", ["/lib/x.so", Path("/lib/x.so"), ctypes.CDLL(ctypes.util.find_library("m"))])
def test_what_is_unloaded_is_named_by_path_or_library(native, lib):
    native.reports = [{**fake.NOTHING, "own": {"outcome": "committed"}}]
    dlcast.unload_global(lib)
    name = lib._name if isinstance(lib, ctypes.CDLL) else str(lib)
    assert native.told == [("call", 4, name.encode())]


@pytest.mark.parametrize(
    ("lib", "error"), [(3, TypeError), ("", ValueError), (ctypes.CDLL(None), ValueError)]
)
def test_what_is_no_library_takes_part_and_raises(native, lib, error):
    with pytest.raises(error):
        dlcast.unload_global(lib)
    assert native.told[0][:2] == ("call", INVALID)


def test_an_interrupted_callback_is_answered_first(native):
    native.steps = [Step(JOB, CALL, f"{__name__}:interrupts"), Step(1)]
    with pytest.raises(KeyboardInterrupt):
        dlcast.sync()
    assert native.answers[0].message == "KeyboardInterrupt"


def interrupts(payload, tag):
    signal.raise_signal(signal.SIGINT)
