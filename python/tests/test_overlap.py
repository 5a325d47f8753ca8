"""An import on the worker beside imports of the program's own threads, without ranks."""

from __future__ import annotations

import importlib
import sys
import threading
import time

import pytest

from dlcast import _importer
from dlcast._importer import Jobs
from dlcast._interrupts import Interrupts

# Fails as long as another thread has not done with its own import.
FRAGILE = """
import gate
gate.begun.set()
gate.other.wait(5)
gate.runs += 1
if gate.runs == 1:
    raise AttributeError("partially initialized module")
"""
GATE = "import threading\nbegun = threading.Event()\nother = threading.Event()\nruns = 0"
OTHER = "import gate, time\ngate.other.set()\ntime.sleep(0.3)\nover = time.monotonic()"


def jobs(is_wanted=lambda: True):
    return Jobs(None, Interrupts(), is_wanted)


@pytest.fixture
def gate(write):
    write("gate.py", GATE)
    write("fragile.py", FRAGILE)
    write("other.py", OTHER)
    return importlib.import_module("gate")


@pytest.fixture
def other(gate):
    def run():
        gate.begun.wait(5)
        importlib.import_module("other")

    thread = threading.Thread(target=run)
    thread.start()
    yield thread
    thread.join()


def test_an_import_that_failed_beside_another_one_is_tried_once_more_after_it(gate, other):
    assert jobs().run("fragile") is None
    assert gate.runs == 2
    assert time.monotonic() >= sys.modules["other"].over


def test_it_is_not_tried_again_when_nobody_waits_for_it(gate, other):
    failure = jobs(is_wanted=lambda: False).run("fragile")
    assert failure.message == "AttributeError: partially initialized module"
    assert gate.runs == 1


def test_an_import_that_failed_alone_is_not_tried_again(gate):
    gate.other.set()
    failure = jobs().run("fragile")
    assert failure.message == "AttributeError: partially initialized module"
    assert gate.runs == 1


def test_a_second_failure_is_the_one_that_counts(gate, other, write):
    write("fragile.py", FRAGILE + "raise KeyError('again')")
    assert jobs().run("fragile").message == "KeyError: 'again'"


def test_what_another_thread_has_imported_meanwhile_is_not_undone(gate, other, write):
    write("slow.py", "import gate\ngate.begun.set()\ngate.other.wait(5)")
    worker = jobs()
    assert worker.run("slow") is None
    other.join()
    worker.undo("other")
    worker.undo("slow")
    assert "other" in sys.modules
    assert "slow" not in sys.modules


def test_two_threads_in_a_circle_get_what_an_import_statement_gives(write):
    write("meeting.py", "import threading\nboth = threading.Barrier(2, timeout=20)")
    body = (
        "import meeting\nfrom dlcast import _importer\nmeeting.both.wait()\n_importer.import_here({other!r})"
    )
    write("circle_a.py", body.format(other="circle_b"))
    write("circle_b.py", body.format(other="circle_a"))
    failed = []

    def run(name):
        try:
            _importer.import_here(name)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("circle_a", "circle_b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert {"circle_a", "circle_b"} <= set(sys.modules)
