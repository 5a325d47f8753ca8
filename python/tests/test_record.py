"""What `record()` tells the library, seen by a native layer that only remembers."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import os
import sys
import threading
from importlib import import_module  # A reference that nobody can replace.

import pytest

import dlcast
from dlcast import _importer
from dlcast._interrupts import Interrupts
from dlcast._record import recording

LIBM = ctypes.util.find_library("m")


def modules(native, handle=1):
    return [event[2] for event in native.told if event[0] == "module" and event[1] == handle]


def test_an_import_is_recorded_once_under_cover(write, native):
    write("outer.py", "import inner")
    write("inner.py")
    with recording(7):
        import outer
    assert native.told == [
        ("begin",),
        ("cover_begin", 1),
        ("cover_end", 1),
        ("module", 1, "outer"),
        ("end", 1),
    ]


def test_every_way_of_importing_is_seen(write, native):
    write("pk/__init__.py")
    for name in ("one", "two", "three", "four"):
        write(f"pk/{name}.py")
    write("pk/relative.py", "def get():\n    from . import four\n    return four")
    with recording(7):
        import pk.one
        from pk import two

        import_module("pk.three")
        importlib.import_module(".relative", "pk").get()
    assert modules(native) == ["pk.one", "pk.two", "pk.three", "pk.relative", "pk.four"]


def test_what_was_there_before_is_not_recorded(write, native):
    write("early.py")
    import early

    with recording(7):
        import early
        import os.path
    assert modules(native) == []


def test_an_import_that_failed_is_not_recorded(write, native):
    write("bad.py", "import good\n1 / 0")
    write("good.py")
    with recording(7), pytest.raises(ZeroDivisionError):
        import bad
    assert modules(native) == []
    assert native.told[-2:] == [("cover_end", 1), ("end", 1)]


def test_nothing_is_recorded_when_the_block_raises(write, native):
    write("fine.py")
    with pytest.raises(ZeroDivisionError), recording(7):
        import fine

        1 / 0
    assert native.told[-1] == ("forget", 1)
    assert importlib._bootstrap._find_and_load.__module__ != "dlcast._record"
    assert ctypes._dlopen.__module__ == "_ctypes"


def test_ctypes_keeps_its_flags(native):
    with recording(7):
        ctypes.CDLL(LIBM, mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(None)
        with pytest.raises(OSError, match="nowhere"):
            ctypes.CDLL("libnowhere.so")
    flags = os.RTLD_NOW | os.RTLD_GLOBAL
    assert native.told == [("begin",), ("opened", 1, LIBM.encode(), flags), ("end", 1)]


def test_ctypes_in_a_module_body_belongs_to_the_module(write, native):
    write("opens.py", f"import ctypes\nctypes.CDLL({LIBM!r})")
    with recording(7):
        import opens
    assert [event[0] for event in native.told] == ["begin", "cover_begin", "cover_end", "module", "end"]


def test_order_is_kept_between_libraries_and_modules(write, native):
    write("uses.py")
    with recording(7):
        ctypes.CDLL(LIBM)
        import uses
    kinds = [event[0] for event in native.told if event[0] in ("opened", "module")]
    assert kinds == ["opened", "module"]


def test_only_the_recording_thread_counts(write, native):
    write("theirs.py")
    write("ours.py")

    def elsewhere():
        import theirs

        ctypes.CDLL(LIBM)

    with recording(7):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        import ours
    assert modules(native) == ["ours"]
    assert not [event for event in native.told if event[0] == "opened"]


def test_blocks_nest(write, native):
    write("inner.py")
    write("outer.py")
    with recording(7):
        with recording(7):
            import inner
        import outer
    assert modules(native, 1) == ["inner", "outer"]
    assert modules(native, 2) == ["inner"]


def test_a_module_that_was_executed_by_hand_is_recorded(write, native):
    write("handmade.py")
    with recording(7):
        spec = importlib.util.find_spec("handmade")
        sys.modules["handmade"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["handmade"])
    assert modules(native) == ["handmade"]


def test_a_module_that_no_import_would_find_is_not_recorded(write, native, tmp_path, monkeypatch):
    path = write("elsewhere/hidden.py")
    with recording(7):
        spec = importlib.util.spec_from_file_location("hidden", path)
        monkeypatch.setitem(sys.modules, "hidden", importlib.util.module_from_spec(spec))
        monkeypatch.setitem(sys.modules, "bare", type(sys)("bare"))
    assert modules(native) == []


def test_the_imports_of_a_round_are_not_recorded_again(write, native):
    write("agreed.py")
    with recording(7):
        _importer.Jobs(None, Interrupts()).run("agreed")
    assert modules(native) == []
    assert ("cover_begin", 1) in native.told


def test_a_wrapper_around_the_hook_survives(write, native, monkeypatch):
    for name in ("one", "two"):
        write(f"{name}.py")
    original = importlib._bootstrap._find_and_load
    with monkeypatch.context() as wrapped:
        with recording(7):
            hook = importlib._bootstrap._find_and_load
            wrapped.setattr(importlib._bootstrap, "_find_and_load", lambda *arguments: hook(*arguments))
            import one
        with recording(7):
            import two
    assert (modules(native, 1), modules(native, 2)) == (["one"], ["two"])
    with recording(7):
        pass
    assert importlib._bootstrap._find_and_load is original


def registered(payload, tag):
    pass


def test_what_is_registered_in_a_block_is_recorded_at_its_end(native):
    with recording(7):
        dlcast.register_global(registered, b"x", 2, comm=dlcast.attach())
        assert native.told == [("begin",)]
    code = dlcast.CodeRef.of(registered).to_bytes()
    assert native.told == [("begin",), ("end", 1), ("record_code", 7, code, b"x", 2)]


def test_a_registration_in_a_block_that_raises_is_forgotten_and_waits_for_nobody(native):
    with pytest.raises(ValueError, match="lambda"), recording(7):
        dlcast.register_global(registered)
        dlcast.register_global(lambda payload, tag: None)
    assert native.told == [("begin",), ("forget", 1)]
