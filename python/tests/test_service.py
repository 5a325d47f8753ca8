"""Service mode under real mpirun: one rank asks, and the threads of the others take part."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import job
import pytest

import dlcast

pytestmark = pytest.mark.mpi

HOST = socket.gethostname()
PAGE = Path(__file__).resolve().parents[2] / "docs" / "service.md"
COUNTED = "import counter\ncounter.runs += 1\n"
LIBRARY = """\
static int runs;
__attribute__((constructor)) static void count(void) { runs++; }
int answer(void) { return runs == 1 ? 42 : runs; }
"""
OWN = COUNTED + "import time, dlcast\ntime.sleep(0.2)\ndlcast.import_global(__name__)\n"
# What each module does when it is imported.
MODULES = {
    "counter": "runs = 0",
    "good": "",
    "wanted": COUNTED,
    "recorded": "",
    "promised": "",
    **{f"threaded{number}": "" for number in range(4)},
    "signals": "import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_DFL)",
    "raises": "1 / 0",
    "leaves": "raise SystemExit(3)",
    "slow": "import time\ntime.sleep(1)",
    "busy": "import threading\nthread = threading.current_thread().name",
    "pk/__init__": "",
    "pk/one": "import time\ntime.sleep(0.8)\nfrom pk.two import value\n" + COUNTED,
    # Where another thread is in the body of pk.one, this waits for it, with its own lock held.
    "pk/two": "import pk.one\nvalue = 2",
    "blocked": """\
        import threading
        from here import comm, rank
        message = None
        if rank == 1 and threading.current_thread() is threading.main_thread():
            comm.Barrier()
            message = comm.recv(source=0)
        """,
    **{f"own{rank}": OWN for rank in range(3)},
    "asks": "import dlcast\ninner = dlcast.import_global('inner')\nback = hasattr(inner, 'asks')",
    "inner": "import dlcast\nasks = dlcast.import_global('asks')",
    **{f"storm{number}": COUNTED for number in range(40)},
}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., job.Result]:
    """Runs a program with MODULES on its path."""

    def run(program: str, ranks: int, *arguments: str, **options) -> job.Result:
        return job.run(program, ranks, *arguments, modules=write(tmp_path), **options)

    return run


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., str]:
    """A shared library from C source."""

    def compiled(name: str, source: str, *more: str) -> str:
        file = tmp_path / f"{name}.c"
        file.write_text(source)
        path = tmp_path / f"lib{name}.so"
        command = [shutil.which("cc") or "gcc", "-shared", "-fPIC", f"-Wl,-soname,{path.name}"]
        subprocess.run([*command, "-o", str(path), str(file), *more], check=True)
        return str(path)

    return compiled


def write(folder: Path, modules: Mapping[str, str] = MODULES) -> Path:
    for name, text in modules.items():
        path = folder / "modules" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder / "modules"


def linked(folder: Path) -> list[str]:
    """What a compiler needs to build against the packaged library."""
    packaged = Path(dlcast.__file__).with_name("_lib")
    soname = folder / "libdlcast.so.0"
    if not soname.exists():
        soname.symlink_to(packaged / "libdlcast.so")
    return [f"-I{packaged}", str(soname), f"-Wl,-rpath,{folder}"]


@pytest.mark.parametrize(("ranks", "way"), [(1, "attach"), (2, "environment"), (4, "attach")])
def test_one_rank_calls_every_verb_from_any_thread_and_all_have_it(run, compiled, monkeypatch, ranks, way):
    if way == "environment":
        monkeypatch.setenv("DLCAST_MODE", "service")
    library = compiled("answer", LIBRARY)
    for told in run("service_verbs", ranks, library, way).good(ranks):
        assert told["has"]
        assert told["library"]
        assert not told["wanted"]
        # Once in each process, by the thread that is there for it.
        assert told["runs"] == [["once", 1, False]]
        if told["rank"] == min(1, ranks - 1):
            assert told["failing"] == [ranks - 1]
            assert told["gone"]
            assert (told["good"], told["promised"], told["done"]) == ("good", "promised", True)
            assert told["bad"] == "GlobalImportError"
            assert told["answer"] == 42
            assert told["unload"]
            assert told["bad_timeout"]


@pytest.mark.parametrize(
    ("how", "python", "code"),
    [
        ("exit", (), 0),
        ("finalize", (), 0),
        ("leaves", (), 0),
        ("early", (), 0),
        ("thread", (), 0),
        ("job", (), 0),
        ("status", (), 3),
        ("raises", (), 1),
        ("raises_alone", ("-m", "mpi4py"), 1),
        ("status_alone", ("-m", "mpi4py"), 3),
    ],
)
def test_a_program_ends_as_it_would_without_the_service(run, how, python, code):
    result = run("service_end", 3, how, python=python)
    assert result.code == code, result.output
    assert result.output.count("Traceback") == ("raises" in how), result.output
    assert "Fatal Python error" not in result.output
    assert "terminate called" not in result.output
    assert "panicked" not in result.output
    # Far from any deadline.
    assert result.seconds < 40
    if "alone" not in how:
        ranks = {"raises": [0, 2], "early": [2]}.get(how, [0, 1, 2])
        assert [told["rank"] for told in result.said] == ranks, result.output
        assert all(told["good"] for told in result.said)


def test_a_rank_whose_program_has_no_python_is_skipped_and_named(compiled, tmp_path):
    check_skips(compiled, tmp_path, workers=3)


@pytest.mark.wide
def test_one_rank_in_python_and_many_without(compiled, tmp_path):
    check_skips(compiled, tmp_path, workers=63)


def check_skips(compiled: Callable[..., str], folder: Path, workers: int) -> None:
    library = compiled("answer", LIBRARY)
    worker = str(folder / "worker")
    subprocess.run(["mpicc", "-o", worker, str(job.PROGRAMS / "worker.c"), *linked(folder)], check=True)
    python = [sys.executable, "-m", "mpi4py", str(job.PROGRAMS / "service_skips.py"), library]
    command = [*python, ":", "-n", str(workers), worker, library, "_lsprof"]
    # The launcher takes the first number of ranks before the command.
    result = job.launch(command, 1, {"PYTHONPATH": str(write(folder))}, limit=170)
    first, *others = result.good(workers + 1)
    assert (first["name"], first["answer"], first["undone"]) == ("_lsprof", 42, 0)
    [[kind, text, place]] = first["warned"]
    assert kind == "NoInterpreterWarning"
    ranks = f"ranks 1-{workers} ({HOST}) have"
    assert text == f"{ranks} no Python interpreter for module _lsprof"
    assert place == first["own"]
    assert all(told["library"] == 1 for told in others)
    assert all(told["extension"] == 0 for told in others)


def test_bodies_run_beside_the_program_and_what_they_cannot_do_there_is_reported(run):
    first, *others = run("service_bodies", 4).good(4)
    signals = "ValueError: signal only works in main thread of the main interpreter"
    assert first["signals"] == [[rank, "import", signals] for rank in range(4)]
    assert first["raises"] == [[rank, "import", "ZeroDivisionError: division by zero"] for rank in range(4)]
    assert first["leaves"] == [[rank, "import", "SystemExit: 3"] for rank in range(4)]
    assert (first["slow"], first["busy"], first["next"]) == ("slow", "busy", "good")
    assert first["seconds"] < 20
    assert others[2]["received"] == "go on"
    for told in [first, *others]:
        assert told["thread"] == "dlcast imports" != told["main"]
        assert told["has"] == [False, False, False, True, True, True]


def test_an_import_that_meets_the_programs_own_is_tried_again_or_given_up_in_time(run):
    first, second, third = run("service_overlap", 3).good(3)
    assert first["package"] == "pk.one"
    assert second["two"] == "pk.two"
    # Rank 1 is in a receive inside the body, and the others have imported it.
    assert first["blocked"] == [[1, "import"]]
    assert "the body of `blocked` still runs, or waits for something" in first["text"]
    assert 5.9 < first["seconds"] < 20
    assert second["message"] == "go on"
    assert (first["good"], first["again"]) == ("good", "blocked")
    for told in (first, second, third):
        assert told["runs"] == 1
        assert told["has"]


def test_bodies_that_all_want_their_own_everywhere_do_not_wait_for_each_other(run):
    for told in run("service_nested", 3, "bodies", "").good(3):
        assert told["has"]
        assert told["circle"]
        assert told["loop"]
        assert told["runs"] == 3


def test_a_body_and_a_constructor_that_ask_do_not_wait_for_each_other(run, compiled, tmp_path):
    source = """\
        #include "dlcast.h"
        static int status = -1;
        __attribute__((constructor)) static void ask(void) {
          dlcast_session session;
          if (dlcast_attach(DLCAST_COMM_WORLD, DLCAST_DEFAULT_MODE, -1, &session) == DLCAST_OK)
            status = dlcast_import_global(session, "own1", 20);
        }
        int asked(void) { return status; }
        """
    library = compiled("asking", textwrap.dedent(source), *linked(tmp_path))
    first, second, third = run("service_nested", 3, "both", library).good(3)
    # DLCAST_NESTED: recorded, not waited for.
    assert second["asked"] == 6
    for told in (first, second, third):
        assert told["has"]
        assert told["runs"] == 2


@pytest.mark.skipif(not PAGE.exists(), reason="needs the repository around it")
def test_the_example_of_the_page_runs(tmp_path):
    [example] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    program = tmp_path / "app.py"
    check = "\nimport sys, json\nprint(json.dumps({'rank': comm.rank, 'has': 'solver' in sys.modules}))\n"
    program.write_text(example + check)
    modules = write(tmp_path, {"solver": "", "plots": ""})
    result = job.launch([sys.executable, "-m", "mpi4py", str(program)], 3, {"PYTHONPATH": str(modules)})
    assert all(told["has"] for told in result.good(3))


def test_a_session_turns_to_service_mode(tmp_path):
    command = [sys.executable, "-c", TURNED]
    result = job.launch(command, 2, {"PYTHONPATH": f"{write(tmp_path)}:{job.PROGRAMS}"})
    first, second = result.good(2)
    assert (first["early"], first["good"]) == ("recorded", "good")
    assert second["has"] == [True, True]


TURNED = """
import sys
from here import comm, rank, tell
import dlcast
session = dlcast.attach()
told = {}
if rank == 0:
    early = session.import_global("recorded", block=False)
session.serve()
if rank == 0:
    told["early"] = early.result(20).__name__
    told["good"] = dlcast.import_global("good").__name__
comm.Barrier()
told["has"] = [name in sys.modules for name in ("recorded", "good")]
tell(**told)
"""


def test_an_interrupt_ends_the_wait_and_not_the_session(tmp_path):
    python = ["-c", INTERRUPTED]
    result = job.launch([sys.executable, *python], 2, {"PYTHONPATH": f"{write(tmp_path)}:{job.PROGRAMS}"})
    first, second = result.good(2)
    assert first["interrupted"] < 3
    assert (first["next"], second["next"]) == ("slow", None)


INTERRUPTED = """
import os, signal, threading, time
from here import comm, rank, tell
import dlcast
dlcast.attach(mode="service", timeout=20)
told = {"next": None}
if rank == 0:
    begun = time.monotonic()
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        dlcast.import_global("slow")
    except KeyboardInterrupt:
        told["interrupted"] = time.monotonic() - begun
    told["next"] = dlcast.import_global("slow").__name__
comm.Barrier()
tell(**told)
"""


def test_random_imports_and_loads_beside_a_ring_of_messages(run, compiled):
    libraries = [compiled(f"storm{number}", LIBRARY) for number in range(4)]
    # scripts/storm asks for more.
    ranks = int(os.environ.get("DLCAST_STORM_RANKS", "4"))
    for told in run("service_storm", ranks, "1000", *libraries, limit=90 + ranks).good(ranks):
        assert told["errors"] == []
        assert told["wrong"] == 0
        assert told["laps"] > 10
        assert told["runs"] == 40
        assert len(told["has"]) == 40
