"""Reports and errors as values and as text."""

from __future__ import annotations

import pickle

import dlcast
from dlcast._report import _folded, sync_report, undone

ITEM = {
    "kind": "module",
    "name": "mylib",
    "error": "import of `mylib` failed on 3 of 64 ranks; undone on all\n  ranks 3, 4 (node2): import: 1",
    "failures": [
        {"ranks": [17], "hosts": ["node5"], "phase": "open", "message": "no symbol", "traceback": None},
        {
            "ranks": [3, 4],
            "hosts": ["node2", "node2"],
            "phase": "import",
            "message": "KeyError: 1",
            "traceback": "Traceback:\n  line",
        },
    ],
}


def test_every_failing_rank_is_listed_in_order():
    failures = undone(ITEM).failures
    assert [(failure.rank, failure.host) for failure in failures] == [
        (3, "node2"),
        (4, "node2"),
        (17, "node5"),
    ]
    assert failures[2] == dlcast.RankFailure(17, "node5", "open", "no symbol", None)


def test_equal_tracebacks_are_shown_once():
    text = str(undone(ITEM))
    assert text == ITEM["error"] + "\non ranks 3, 4:\n    Traceback:\n      line"


def test_ranks_fold_as_in_the_library():
    assert _folded([3]) == "rank 3"
    assert _folded([3, 4]) == "ranks 3, 4"
    assert _folded([0, 3, 4, 5, 17]) == "ranks 0, 3-5, 17"


def test_a_report_is_false_when_something_was_undone():
    library = {
        "kind": "library",
        "name": "libx.so",
        "path": "/x",
        "identity": "libx.so, 1 byte",
        "ranks": [0, 1],
    }
    copy = {"name": "libx.so", "rank": 1, "host": "n", "paths": ["/a/libx.so", "/b/libx.so"]}
    report = sync_report({"rounds": 1, "committed": [library], "undone": [ITEM], "copies": [copy]})
    assert not report
    lines = str(report).splitlines()
    assert lines[0] == "committed: library libx.so"
    assert lines[1] == ITEM["error"].splitlines()[0]
    assert lines[-1] == "libx.so is open twice on rank 1 (n): /a/libx.so, /b/libx.so"
    empty = sync_report({"rounds": 0, "committed": [], "undone": [], "copies": []})
    assert empty
    assert str(empty) == "committed: nothing"
    assert empty == sync_report({"rounds": 0, "committed": [], "undone": [], "copies": []})


def test_errors_travel_between_processes():
    failures = undone(ITEM).failures
    for error in (
        dlcast.GlobalImportError("text", name="mylib", failures=failures),
        dlcast.GlobalLoadError("text", failures=failures),
        dlcast.GlobalCallbackError("text", failures=failures),
        dlcast.TaskError("text"),
        dlcast.TaskLookupError("text"),
        dlcast.SessionTimeout("text"),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == "text"
        assert vars(copy) == vars(error)
    assert pickle.loads(pickle.dumps(dlcast.GlobalImportError("text", name="mylib"))).name == "mylib"


def test_a_timeout_is_a_timeout_and_a_session_error():
    assert issubclass(dlcast.SessionTimeout, (dlcast.SessionError, TimeoutError))
    assert issubclass(dlcast.SessionError, RuntimeError)
    assert issubclass(dlcast.GlobalLoadError, OSError)
    assert issubclass(dlcast.GlobalImportError, ImportError)


def test_who_has_no_python_is_in_the_report():
    item = {"kind": "module", "name": "solver", "ranks": [1, 2, 3, 5], "hosts": ["a", "a", "b", "b"]}
    report = sync_report({"rounds": 1, "committed": [], "undone": [], "copies": [], "skipped": [item]})
    assert report
    text = "ranks 1-3, 5 (a, b) have no Python interpreter for module solver"
    assert str(report).splitlines()[-1] == text
