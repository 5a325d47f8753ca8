"""Import jobs on one rank: what is reported, what is undone, and that no body runs twice."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import types

import pytest

from dlcast import _importer
from dlcast._interrupts import Interrupts
from dlcast._parking import parking

COUNTED = "import builtins\nbuiltins.runs = getattr(builtins, 'runs', 0) + 1\n"


@pytest.fixture
def jobs():
    return _importer.Jobs(None, Interrupts())


@pytest.fixture
def runs(monkeypatch):
    """How often a body with COUNTED in it has run."""
    import builtins

    monkeypatch.setattr(builtins, "runs", 0, raising=False)
    return lambda: builtins.runs


def test_an_undone_module_comes_back_without_running_again(write, jobs, runs):
    write("seen.py", COUNTED)
    assert jobs.run("seen") is None
    module = sys.modules["seen"]
    spec, loader = module.__spec__, module.__loader__
    jobs.undo("seen")
    assert "seen" not in sys.modules
    import seen

    assert seen is module
    assert runs() == 1
    assert (seen.__spec__, seen.__loader__) == (spec, loader)
    assert importlib.reload(seen) is module
    assert runs() == 2


def test_an_undone_module_is_parked_again_by_the_next_failure(write, runs):
    write("seen.py", COUNTED)
    for _ in range(3):
        jobs = _importer.Jobs(None, Interrupts())
        assert jobs.run("seen") is None
        jobs.undo("seen")
        assert "seen" not in sys.modules
    assert runs() == 1


def test_what_the_program_imported_is_never_touched(write, jobs):
    write("own.py")
    import own

    assert jobs.run("own") is None
    jobs.undo("own")
    assert sys.modules["own"] is own


def test_a_module_that_was_put_back_by_the_program_is_the_programs(write, jobs):
    write("own.py")
    jobs.run("own")
    jobs.undo("own")
    own = importlib.import_module("own")
    jobs.run("own")
    jobs.undo("own")
    assert sys.modules["own"] is own


def test_completed_dependencies_and_submodules_stay(write, jobs):
    write("pk/__init__.py", "import dep\nfrom pk import sub")
    write("pk/sub.py")
    write("dep.py")
    jobs.run("pk")
    jobs.undo("pk")
    assert "pk" not in sys.modules
    assert {"pk.sub", "dep"} <= set(sys.modules)


def test_a_dependency_that_was_asked_for_is_undone_too(write, jobs):
    write("first.py", "import second")
    write("second.py")
    jobs.run("first")
    jobs.run("second")
    jobs.undo("first")
    jobs.undo("second")
    assert not {"first", "second"} & set(sys.modules)


def test_a_dependency_of_an_earlier_round_is_the_programs(write, jobs):
    write("first.py", "import second")
    write("second.py")
    jobs.run("first")
    jobs.commit("first")
    jobs.run("second")
    jobs.undo("second")
    assert "second" in sys.modules


def test_a_submodule_leaves_its_package_and_comes_back(write, jobs, runs):
    write("pk/__init__.py")
    write("pk/sub.py", COUNTED)
    jobs.run("pk.sub")
    package, sub = sys.modules["pk"], sys.modules["pk.sub"]
    jobs.undo("pk.sub")
    assert not hasattr(package, "sub")
    from pk import sub as again

    assert again is sub is package.sub
    assert runs() == 1


def test_a_parked_package_comes_back_with_its_submodule(write, jobs, runs):
    write("pk/__init__.py", COUNTED)
    write("pk/sub.py", COUNTED)
    jobs.run("pk")
    package = sys.modules["pk"]
    jobs.run("pk.sub")
    jobs.undo("pk")
    jobs.undo("pk.sub")
    assert not {"pk", "pk.sub"} & set(sys.modules)
    assert jobs.run("pk.sub") is None
    assert sys.modules["pk"] is package is importlib.import_module("pk")
    assert package.sub is sys.modules["pk.sub"]
    assert runs() == 2


def test_a_parked_package_whose_submodule_stayed_comes_back_with_it(write, jobs, runs):
    write("pk/__init__.py", COUNTED + "from pk import sub")
    write("pk/sub.py")
    jobs.run("pk")
    package = sys.modules["pk"]
    jobs.undo("pk")
    assert jobs.run("pk.sub") is None
    assert sys.modules["pk"] is package
    assert runs() == 1


def test_a_new_submodule_of_a_parked_package_is_found(write, jobs, runs):
    write("pk/__init__.py", COUNTED)
    write("pk/late.py")
    jobs.run("pk")
    package = sys.modules["pk"]
    jobs.undo("pk")
    import pk.late

    assert pk is package
    assert runs() == 1


def test_a_look_at_a_parked_module_puts_nothing_back(write, jobs):
    write("seen.py")
    jobs.run("seen")
    jobs.undo("seen")
    assert importlib.util.find_spec("seen").origin.endswith("seen.py")
    assert "seen" not in sys.modules


def test_a_package_that_imports_on_attribute_access_stays_undone(write, jobs):
    write(
        "lazy/__init__.py",
        """
        def __getattr__(name):
            if name != "sub":
                raise AttributeError(name)
            from importlib import import_module
            return import_module("lazy.sub")
        """,
    )
    write("lazy/sub.py")
    jobs.run("lazy.sub")
    jobs.undo("lazy.sub")
    assert "lazy.sub" not in sys.modules


def test_a_module_that_replaced_itself_comes_back_as_what_it_became(write, jobs):
    write("odd.py", "import sys\nclass Odd: pass\nsys.modules[__name__] = Odd()")
    jobs.run("odd")
    odd = sys.modules["odd"]
    jobs.undo("odd")
    assert importlib.import_module("odd") is odd
    assert vars(odd) == {}


def test_a_finder_that_came_later_does_not_run_the_body_again(write, jobs, runs):
    write("seen.py", COUNTED)
    jobs.run("seen")
    jobs.undo("seen")

    class Other:
        find_spec = staticmethod(importlib.machinery.PathFinder.find_spec)

    sys.meta_path.insert(0, Other)
    assert jobs.run("seen") is None
    assert runs() == 1


def test_numpy_stands_an_undo(jobs):
    if "numpy" in sys.modules:
        pytest.skip("somebody imported numpy before")
    pytest.importorskip("numpy", reason="its refusal of a second import is the point", exc_type=ImportError)
    # importorskip has imported it: from here on it is as if a round had.
    numpy = sys.modules["numpy"]
    parking.park("numpy", numpy)
    assert jobs.run("numpy") is None
    assert sys.modules["numpy"] is numpy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("def (", "SyntaxError: invalid syntax (bad.py, line 1)"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("class Own(BaseException): pass\nraise Own('mine')", "bad.Own: mine"),
        ("raise KeyError('ü\\n2')", "KeyError: 'ü\\n2'"),
    ],
)
def test_anything_a_body_raises_is_a_failure(write, jobs, text, message):
    write("bad.py", text)
    failure = jobs.run("bad")
    assert failure.message == message
    assert "bad.py" in failure.traceback
    assert "importlib" not in failure.traceback
    assert "_importer" not in failure.traceback
    assert "bad" not in sys.modules
    assert not _importer.inside_job()


def test_a_missing_module_is_reported_without_frames(jobs):
    failure = jobs.run("nowhere_to_be_found")
    assert failure.message == "ModuleNotFoundError: No module named 'nowhere_to_be_found'"
    assert failure.traceback == failure.message


def test_a_cause_is_trimmed_too(write, jobs):
    write(
        "bad.py",
        "try:\n    import nowhere_to_be_found\nexcept ImportError as e:\n    raise OSError('x') from e",
    )
    failure = jobs.run("bad")
    assert "direct cause" in failure.traceback
    assert "importlib" not in failure.traceback


def test_an_exception_that_cannot_be_printed_is_a_failure(write, jobs):
    write("bad.py", "class Mute(SyntaxError):\n    def __str__(self): raise OSError('no')\nraise Mute()")
    assert jobs.run("bad").message.startswith("Mute")


def test_an_interrupted_body_is_a_failure_and_remembered(write, jobs):
    write("bad.py", "raise KeyboardInterrupt")
    assert jobs.run("bad").message == "KeyboardInterrupt"
    assert isinstance(jobs.interrupt, KeyboardInterrupt)


def test_a_module_that_is_none_stays_none(monkeypatch, jobs):
    monkeypatch.setitem(sys.modules, "blocked", None)
    assert jobs.run("blocked").message == "ModuleNotFoundError: import of blocked halted; None in sys.modules"
    jobs.undo("blocked")
    assert sys.modules["blocked"] is None


def test_a_file_that_appears_later_is_found(write, jobs, tmp_path):
    write("other.py")
    assert jobs.run("appearing").message.startswith("ModuleNotFoundError")
    write("appearing.py")
    assert jobs.run("appearing") is None


def test_a_folder_that_appears_later_is_found(jobs, tmp_path, monkeypatch):
    folder = tmp_path / "later"
    monkeypatch.syspath_prepend(str(folder))
    assert jobs.run("appearing_too").message.startswith("ModuleNotFoundError")
    folder.mkdir()
    (folder / "appearing_too.py").touch()
    assert jobs.run("appearing_too") is None


def test_an_import_is_known_from_inside_only(write, jobs, monkeypatch):
    seen = []
    monkeypatch.setattr("builtins.seen", seen, raising=False)
    text = "from dlcast import _importer\nseen.append((_importer.inside_import(), _importer.inside_job()))"
    write("looks.py", text)
    import looks

    importlib.reload(looks)
    del sys.modules["looks"]
    jobs.run("looks")
    assert seen == [(True, False), (True, False), (True, True)]
    assert not _importer.inside_import()


def test_another_threads_import_is_not_this_threads(write, monkeypatch):
    inside = threading.Event()
    seen = []

    def look():
        inside.wait(20)
        seen.append(_importer.inside_import())

    thread = threading.Thread(target=look)
    monkeypatch.setattr("builtins.meet", lambda: (inside.set(), thread.join(20)), raising=False)
    write("meets.py", "meet()")
    thread.start()
    importlib.import_module("meets")
    assert seen == [False]


def test_threads_that_put_one_module_back_all_get_it(write, jobs, runs):
    write("seen.py", COUNTED)
    jobs.run("seen")
    module = sys.modules["seen"]
    got: list[types.ModuleType] = []
    for _ in range(50):
        parking.park("seen", module)
        threads = [
            threading.Thread(target=lambda: got.append(importlib.import_module("seen"))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == [module] * 200
    assert runs() == 1


def test_a_call_imports_the_module_on_the_fly(write, jobs):
    write(
        "late.py", "calls = []\nclass Kind:\n    @classmethod\n    def call(cls, *given): calls.append(given)"
    )
    assert jobs.call("late:Kind.call", b"payload", 3) is None
    assert sys.modules["late"].calls == [(b"payload", 3)]


def test_a_call_that_raises_is_a_failure_with_its_traceback(write, jobs):
    write("late.py", "def call(payload, tag):\n    raise SystemExit(tag)")
    failure = jobs.call("late:call", b"", 3)
    assert failure.message == "SystemExit: 3"
    assert "late.py" in failure.traceback
    assert "_importer" not in failure.traceback


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_to_be_found:call", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("late:call.more", "AttributeError: module `late` has no `call.more` on this rank"),
        (
            "__main__:nobody",
            "AttributeError: module `__main__` has no `nobody` on this rank; every rank has to",
        ),
    ],
)
def test_a_call_that_leads_nowhere_is_a_failure(write, jobs, name, message):
    write("late.py", "def call(payload, tag): pass")
    assert jobs.call(name, b"", 0).message.startswith(message)


@pytest.mark.parametrize(
    ("text", "gave"),
    [
        ("async def call(payload, tag): pass", "coroutine"),
        ("def call(payload, tag): yield", "generator"),
        ("async def call(payload, tag): yield", "async_generator"),
        ("async def later(): pass\ndef call(payload, tag): return later()", "coroutine"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_call_that_runs_nothing_is_a_failure(write, jobs, text, gave):
    write("late.py", text)
    failure = jobs.call("late:call", b"", 0)
    assert failure.message == (
        f"TypeError: late:call gave a {gave}, which nobody runs: give a plain function that runs it"
    )


def test_a_callback_is_known_from_inside_only(write, jobs, monkeypatch):
    seen = []
    monkeypatch.setattr("builtins.seen", seen, raising=False)
    text = "from dlcast import _importer as i\ndef call(*_): "
    write("looks.py", text + "seen.append((i.inside_callback(), i.must_not_wait(), i.inside_import()))")
    jobs.call("looks:call", b"", 0)
    jobs.run("looks")
    assert seen == [(True, True, False)]
    assert not _importer.inside_callback()
    assert not _importer.must_not_wait()


def test_a_module_that_a_callback_brought_is_undone(write, jobs):
    write("late.py", "def call(payload, tag): import brought")
    write("brought.py")
    jobs.call("late:call", b"", 0)
    jobs.run("brought")
    jobs.undo("brought")
    assert "brought" not in sys.modules
