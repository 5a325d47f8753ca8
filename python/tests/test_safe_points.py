"""Nothing waits inside an `import`: what a body asks for is done here, and everywhere with the next call."""

from __future__ import annotations

import threading
from pathlib import Path
from queue import Queue

import job
import pytest

from dlcast import _importer
from dlcast._interrupts import Interrupts

COUNTED = "import counter\ncounter.runs += 1\n"
START = "import threading, dlcast\nthread = threading.Thread(target=dlcast.import_global, args=['inner'])\n"
# By what a body does, what it asks for included: the text of `asks`, and of `inner`.
BODIES = {
    "asks": ("import dlcast\ndlcast.import_global('inner')", COUNTED),
    "asks for itself": ("import dlcast\ndlcast.import_global('inner', False)", COUNTED),
    "in a circle": (
        "import dlcast\ninner = dlcast.import_global('inner')",
        COUNTED + "import dlcast\nassert dlcast.import_global('asks').__name__ == 'asks'",
    ),
    "joins a thread": (START + "thread.start()\nthread.join()", COUNTED),
    "joins a thread that joins a thread": (
        START + "def outer():\n thread.start()\n thread.join()\n"
        "both = threading.Thread(target=outer)\nboth.start()\nboth.join()",
        COUNTED,
    ),
    "waits for a pool": (
        "import dlcast\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(1) as pool:\n pool.submit(dlcast.import_global, 'inner').result()",
        COUNTED,
    ),
}


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("who", "session"),
    [("one", "attached"), ("one", "unattached"), ("all", "unattached"), ("global", "unattached")],
)
@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_asks_never_waits_and_every_rank_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, who: str, session: str
) -> None:
    # Whoever waited would wait in vain, until this deadline.
    monkeypatch.setenv("DLCAST_TIMEOUT", "20")
    asks, inner = BODIES[body]
    for name, text in {"asks": asks, "inner": inner, "counter": "runs = 0"}.items():
        (tmp_path / f"{name}.py").write_text(text)
    result = job.run("safe_points", 3, who, session, modules=tmp_path)
    for told in result.good(3):
        here = who != "one" or told["rank"] == 1
        assert told == {
            "rank": told["rank"],
            # In a circle `inner` asks for it.
            "asks": here or body == "in a circle",
            "everywhere": here,
            "inner": True,
            "runs": 1,
            "undone": 0,
        }, result.output
    assert result.seconds < 20


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Queue[bool]:
    """Where the bodies below put whether their threads may wait."""
    answers: Queue[bool] = Queue()
    monkeypatch.setattr(threading, "dlcast_test_answers", answers, raising=False)
    return answers


BODY = """
    import threading
    from dlcast import _importer
    go_on = threading.Event()
    def ask():
        threading.dlcast_test_answers.put(_importer.must_not_wait())
    def ask_later():
        go_on.wait(20)
        ask()
    later = threading.Thread(target=ask_later)
    later.start()
    now = threading.Thread(target=ask)
    now.start()
    now.join()
"""


def test_a_thread_must_not_wait_while_the_import_that_started_it_goes_on(write, asked):
    write("starts.py", BODY)
    module = _importer.import_here("starts")
    assert asked.get(timeout=20)
    # The import has ended: nobody joins this one with a module's lock held.
    module.go_on.set()
    assert not asked.get(timeout=20)
    module.later.join()


def test_a_thread_must_not_wait_while_the_job_that_started_it_goes_on(write, asked):
    owner = object()
    write("within.py", BODY)
    jobs = _importer.Jobs(owner, Interrupts())
    assert jobs.run("within") is None
    assert asked.get(timeout=20)
    import within

    within.go_on.set()
    assert not asked.get(timeout=20)
    within.later.join()


def test_a_thread_of_a_callback_belongs_to_its_round(write):
    owner = object()
    write(
        "calls.py",
        """
        import threading
        from dlcast import _importer
        def code(payload, tag):
            thread = threading.Thread(target=see)
            thread.start()
            thread.join()
        def see():
            global seen
            seen = _importer.owner(), _importer.inside_callback(), _importer.must_not_wait()
        """,
    )
    jobs = _importer.Jobs(owner, Interrupts())
    assert jobs.call("calls:code", b"", 0) is None
    import calls

    assert calls.seen == (owner, True, True)
    assert not _importer.must_not_wait()


def test_a_thread_of_a_class_of_its_own_starts_and_is_known(write, asked):
    body = """
    import threading
    from dlcast import _importer
    class Own(threading.Thread):
        def run(self):
            threading.dlcast_test_answers.put(_importer.must_not_wait())
        def start(self):
            super().start()
    thread = Own(daemon=True)
    thread.start()
    thread.join()
    """
    write("own_class.py", body)
    _importer.import_here("own_class")
    assert asked.get(timeout=20)
