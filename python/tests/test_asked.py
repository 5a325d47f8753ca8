"""Calls in service mode, against a native layer that only remembers."""

from __future__ import annotations

import threading
import time
import warnings

import pytest
from fake import FakeNative, committed, undone

import dlcast
from dlcast import _worker
from dlcast._native import Step

SKIPPED = {"kind": "module", "name": "good", "ranks": [1, 2], "hosts": ["node1", "node1"]}


@pytest.fixture
def served(native: FakeNative, monkeypatch: pytest.MonkeyPatch, write) -> FakeNative:
    """Its sessions are in service mode; `waits` answers are none yet."""
    write("good.py", "")
    monkeypatch.setattr(native, "serves", lambda session: True, raising=False)
    monkeypatch.setattr(_worker.service, "start", lambda: None)
    native.waits, native.slices = 0, []

    def step_within(call, seconds):
        native.slices.append(seconds)
        if native.waits:
            native.waits -= 1
            time.sleep(min(seconds, 0.01))
            return None
        return Step(0)

    monkeypatch.setattr(native, "step_within", step_within, raising=False)
    monkeypatch.setattr(native, "drop", lambda call: native.told.append(("drop", call)), raising=False)
    return native


def test_the_main_thread_waits_in_slices_so_that_it_hears_signals(served):
    served.waits = 3
    served.reports = [committed("good")]
    assert dlcast.import_global("good").__name__ == "good"
    assert len(served.slices) == 4
    assert max(served.slices) < 1


def test_other_threads_wait_at_a_stretch(served):
    served.reports = [committed("good")]
    dlcast.attach()
    thread = threading.Thread(target=dlcast.import_global, args=("good",))
    thread.start()
    thread.join()
    assert min(served.slices) > 60


def test_an_interrupted_wait_is_dropped_and_the_interrupt_is_raised(served, monkeypatch):
    def interrupted(call, seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(served, "step_within", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dlcast.import_global("good")
    assert ("drop", 1) in served.told


def test_ranks_without_python_are_a_warning_at_the_line_that_asked(served):
    served.reports = [{**committed("good"), "skipped": [SKIPPED]}]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dlcast.import_global("good")
    [warning] = caught
    assert warning.category is dlcast.NoInterpreterWarning
    assert str(warning.message) == "ranks 1, 2 (node1) have no Python interpreter for module good"
    assert warning.filename == __file__


def test_a_bad_argument_takes_part_in_nothing(served):
    with pytest.raises(TypeError):
        dlcast.import_global(3)
    assert served.told == []


def test_a_future_has_asked_when_it_is_there_and_waits_here(served):
    dlcast.attach()
    served.waits = 1
    future = dlcast.import_global("good", block=False)
    assert ("call", 2, b"good") in served.told
    assert not future._done
    served.waits = 1000
    with pytest.raises(TimeoutError, match="is not decided after"):
        future.result(0.05)
    served.waits = 0
    served.reports = [committed("good")]
    assert future.done()
    assert future.result().__name__ == "good"
    assert len([told for told in served.told if told[0] == "call"]) == 1


def test_a_future_that_fails_raises_every_time(served):
    dlcast.attach()
    failure = {"phase": "import", "message": "no", "ranks": [2], "hosts": ["node2"]}
    served.reports = [undone("good", **failure)]
    future = dlcast.import_global("good", block=False)
    assert future.done()
    for _ in range(2):
        with pytest.raises(dlcast.GlobalImportError) as error:
            future.result()
        assert [failing.rank for failing in error.value.failures] == [2]


def test_a_future_that_nobody_keeps_is_no_longer_waited_for(served):
    dlcast.attach()
    served.waits = 1
    future = dlcast.import_global("good", block=False)
    del future
    assert ("drop", 1) in served.told
