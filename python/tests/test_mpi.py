"""The claims under real mpirun: each is a program in `programs`, started on some ranks with a time limit."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import job
import pytest

import dlcast

pytestmark = pytest.mark.mpi

HOST = socket.gethostname()
WIDE = pytest.param(64, marks=pytest.mark.wide)

# Counts its runs in a module that is never undone; needs something that is imported first.
WANTED = """
import threading
import counter
import dependency
counter.runs += 1
thread = threading.current_thread().name
"""
MODULES = {
    "good.py": "",
    "other.py": "",
    "counter.py": "runs = 0",
    "dependency.py": "",
    "wanted.py": WANTED,
    "inner.py": "",
    "asks.py": "import dlcast\ndlcast.import_global('inner')",
}
LIBRARY = "int answer(void) { return 42; }"
OPENER = "#include <dlfcn.h>\nint open_it(const char *path) { return dlopen(path, RTLD_NOW) != 0; }"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., job.Result]:
    """Runs a program with MODULES and more on its path."""

    def run(program: str, ranks: int | None, *arguments: str, **options: Any) -> job.Result:
        write(tmp_path / "modules", {**MODULES, **options.pop("files", {})})
        return job.run(program, ranks, *arguments, modules=tmp_path / "modules", **options)

    return run


@pytest.fixture
def compile_library(tmp_path: Path) -> Callable[..., str]:
    """A shared library from C source, in a folder of its own."""

    def compile_library(folder: str, source: str, name: str = "libanswer.so", needs: str = "") -> str:
        path = tmp_path / folder / name
        write(path.parent, {"source.c": source})
        compiler = shutil.which("cc") or "gcc"
        command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", "-Wl,--no-as-needed"]
        command += ["-o", str(path), "source.c", *filter(None, [needs]), "-ldl"]
        subprocess.run(command, cwd=path.parent, check=True)
        return str(path)

    return compile_library


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


@pytest.mark.parametrize("ranks", [1, 4, WIDE])
def test_numpy_reaches_every_rank(run, ranks):
    result = run("import_numpy", ranks, limit=170)
    assert all(told["total"] == 6 for told in result.good(ranks))


@pytest.mark.parametrize("ranks", [4, WIDE])
def test_a_module_that_one_rank_lacks_fails_on_all_and_comes_back(run, ranks):
    for told in run("one_rank_lacks_it", ranks, files={"wanted.py": WANTED}, limit=170).good(ranks):
        message = "ModuleNotFoundError: No module named 'wanted'"
        assert told["failing"] == [[1, HOST, "import", message]]
        assert told["name"] == "wanted"
        assert told["text"].startswith(f"import of `wanted` failed on 1 of {ranks} ranks; undone on all\n")
        assert f"  rank 1 ({HOST}): import: {message}" in told["text"]
        assert message in told["traceback"]
        assert told["gone"]
        # Rank 1 never got as far as the dependency.
        assert told["dependency"]
        assert told["other"] == "other"
        assert told["runs"] == 1


def test_a_missing_part_of_a_module_is_reported_with_its_traceback(run):
    for told in run("nested_fails", 3, files={"asks.py": "import counter\nimport inner\n"}).good(3):
        assert told["failing"] == [1]
        assert "asks.py" in told["traceback"]
        assert "line 2" in told["traceback"]
        assert told["traceback"].endswith("ModuleNotFoundError: No module named 'inner'")
        assert told["gone"]


def test_numpy_that_one_rank_gets_later_is_imported_everywhere_then(run):
    for told in run("numpy_comes_later", 3).good(3):
        assert told == {"rank": told["rank"], "failing": [1], "gone": True, "total": 6}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def (", "SyntaxError: invalid syntax (bad.py, line 1)"),
        ("raise KeyError('key')", "KeyError: 'key'"),
        ("class Own(BaseException): pass\nraise Own('mine')", "bad.Own: mine"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import sys\nsys.exit()", "SystemExit"),
    ],
)
def test_whatever_a_body_raises_on_one_rank_every_rank_is_told(run, tmp_path, body, message):
    write(tmp_path / "one", {"bad.py": body})
    for told in run("bad_body", 3, str(tmp_path), "bad", files={"bad.py": ""}).good(3):
        assert told["failing"] == [1]
        assert told["message"] == message
        assert "bad.py" in told["traceback"]
        assert told["gone"]


def test_a_module_that_is_none_on_one_rank_stays_none(run, tmp_path):
    for told in run("bad_body", 2, str(tmp_path), "bad", "none", files={"bad.py": ""}).good(2):
        assert told["message"] == "ModuleNotFoundError: import of bad halted; None in sys.modules"
        assert told["gone"]
        assert told["still_none"] == (told["rank"] == 1)


def test_a_parent_package_that_fails_on_one_rank_fails_the_submodule_everywhere(run, tmp_path):
    write(tmp_path / "one", {"pk/__init__.py": "raise OSError('no parent')", "pk/sub.py": ""})
    files = {"pk/__init__.py": "", "pk/sub.py": ""}
    for told in run("bad_body", 2, str(tmp_path), "pk.sub", files=files).good(2):
        assert told["message"] == "OSError: no parent"
        assert told["gone"]


def test_a_wrong_argument_of_one_rank_is_its_own_affair(run):
    for told in run("wrong_type", 3).good(3):
        text = '"module" arg to "import_global" must be a ModuleType or str type'
        assert told["caught"] == (text if told["rank"] == 1 else None)
        assert told["good"]
        assert told["next"] == "other"


def test_ranks_that_ask_for_different_modules_get_both(run):
    for told in run("different_names", 2, files={"one.py": "", "two.py": ""}).good(2):
        assert told["mine"] == ["one", "two"][told["rank"]]
        assert told["both"]


def test_a_bad_request_does_not_undo_another_ranks_good_one(run):
    for told in run("one_good_one_bad", 2, files={"bad.py": "1 / 0"}).good(2):
        assert told["failing"] == ([0, 1] if told["rank"] == 0 else None)
        assert told["good"]
        assert not told["bad"]


@pytest.mark.parametrize("mode", ["local", "global"])
def test_equal_libraries_under_two_paths_are_one_and_flags_are_kept(run, compile_library, mode):
    one = compile_library("one", LIBRARY)
    two = Path(one).parents[1] / "two" / "libanswer.so"
    two.parent.mkdir()
    shutil.copy2(one, two)
    for told in run("load", 4, one, str(two), mode).good(4):
        assert told["answer"] == 42
        assert told["visible"] is (mode == "global")


def test_a_library_that_one_rank_cannot_open_is_visible_on_none(run, compile_library):
    needed = compile_library("needed", "", "libneeded.so")
    path = compile_library("one", LIBRARY, needs=needed)
    for told in run("load_missing", 3, path, needed).good(3):
        assert told["failing"] == [[1, "open"]]
        assert "libneeded.so" in told["message"]
        assert told["oserror"]
        assert not told["visible"]


def test_a_path_that_is_no_file_is_the_affair_of_who_gave_it(run, compile_library):
    path = compile_library("one", LIBRARY)
    for told in run("load_nowhere", 2, path).good(2):
        assert told["failed"] == (told["rank"] == 1)
        assert told["next"] == 42


def test_what_one_rank_records_every_rank_has_after_sync(run, compile_library):
    path = compile_library("one", LIBRARY)
    for told in run("record", 3, path, files={"recorded.py": "import dependency"}).good(3):
        assert told["undone"] == []
        assert [kind for kind, _ in told["committed"]] == ["library", "module"]
        assert told["committed"][1] == ["module", "recorded"]
        assert told["asked"] == [0]
        assert told["visible"]
        assert told["imported"]
        assert told["again"] == 0


def test_what_native_code_opens_and_extension_modules_are_recorded(run, compile_library):
    opener = compile_library("opener", OPENER, "libopener.so")
    wanted = compile_library("one", LIBRARY)
    for told in run("record_native", 2, opener, wanted).good(2):
        assert told["undone"] == 0
        assert [kind for kind, _ in told["kinds"]] == ["library", "module"]
        assert told["kinds"][1] == ["module", "_lsprof"]
        assert told["mapped"]
        assert told["imported"]


def test_a_future_is_decided_by_the_next_round(run):
    files = {"early.py": "", "solely.py": "", "bad.py": ""}
    for told in run("later", 3, files=files).good(3):
        assert told["undecided"]
        assert told["waited"]
        assert told["solely"]
        assert told["report"] is False
        assert told["failing"] == [1]
        assert told["done"]


def test_a_request_made_inside_a_plain_import_travels_with_the_next_round(run):
    for told in run("nested_plain", 3).good(3):
        assert told["committed"] == ["inner"]
        assert told["inner"]
        assert told["asks"] == (told["rank"] == 0)


@pytest.mark.parametrize("check_depth", [True, False])
def test_modules_that_ask_for_each_other_do_not_hang(run, check_depth):
    files = {
        "asks.py": f"import dlcast\ndlcast.import_global('inner', {check_depth})",
        "inner.py": f"import dlcast\nback = dlcast.import_global('asks', {check_depth})",
    }
    for told in run("nested", 3, files=files).good(3):
        assert told["inner"]
        assert told["back"]


def test_a_nested_request_that_fails_on_one_rank_fails_the_outer_one(run):
    for told in run("nested_fails", 3).good(3):
        assert told["name"] == "asks"
        assert told["failing"] == [1]
        assert "asks.py" in told["traceback"]
        assert told["gone"]


def test_an_uncaught_exception_on_one_rank_ends_the_job(run):
    result = run("uncaught", 3)
    assert result.code != 0
    assert "rank 1 has had enough" in result.output
    assert result.seconds < 30


@pytest.mark.parametrize("mpi", ["mpi4py", "none"])
def test_one_process_without_mpirun_does_everything(run, compile_library, mpi):
    path = compile_library("one", LIBRARY)
    [told] = run("alone", None, mpi, path, python=(), files={"third.py": ""}).good(1)
    assert told == {
        "rank": 0,
        "size": 1,
        "committed": ["good"],
        "answer": 42,
        "other": "other",
        "third": "third",
        "failing": [0],
    }


@pytest.mark.parametrize("when", ["attached", "never"])
def test_after_mpi_finalize_a_call_says_so(run, when):
    for told in run("finalized", 2, when).good(2):
        assert all(text and "finali" in text for text in told["texts"]), told["texts"]


def test_two_halves_of_a_communicator_do_not_wait_for_each_other(run):
    for told in run("split", 4, files={"even.py": "", "odd.py": ""}).good(4):
        assert told["size"] == 2
        assert told["has"] == [["even", "odd"][told["rank"] % 2]]


def test_a_session_goes_with_its_communicator(run):
    for told in run("freed", 2).good(2):
        assert "freed" in told["text"]
        assert told["again"] == "good"


def test_a_recorded_import_of_numpy_reaches_every_rank(run):
    for told in run("record_numpy", 3).good(3):
        assert told == {"rank": told["rank"], "committed": [["module", "numpy"]], "total": 6}


def test_only_an_intracommunicator_is_one(run):
    for told in run("communicators", 4).good(4):
        assert all(text and text.startswith("expecting an intracommunicator") for text in told["texts"])
        assert told["same"]
        assert told["cartesian"] == 4


@pytest.mark.parametrize("when", ["attached", "first"])
def test_threads_of_one_rank_take_turns(run, when):
    files = {f"threaded{number}.py": "" for number in range(4)}
    for told in run("threads", 2, when, files=files).good(2):
        assert told["errors"] == []
        assert told["have"]


def test_a_rank_that_does_not_come_is_named_within_the_deadline(run):
    for told in run("absent", 3).good(3):
        kind, text = told["first"]
        assert told["at_once"]
        assert f"rank 1 ({HOST})" in told["second"][1]
        assert f"rank 1 ({HOST})" in text
        if told["rank"] == 1:
            assert told["waited"] < 1
        else:
            assert kind == "SessionTimeout"
            assert 4.9 < told["waited"] < 7


def test_a_rank_that_never_attaches_is_named_within_the_deadline(run):
    for told in run("absent_at_attach", 3).good(3):
        if told["rank"] != 1:
            assert f"rank 1 ({HOST})" in told["caught"]
            assert told["waited"] < 6


def test_an_interrupted_body_is_a_failure_for_all_and_an_interrupt_for_one(run, tmp_path):
    body = "import signal\nfrom here import rank\nif rank == 1: signal.raise_signal(signal.SIGINT)"
    for told in run("interrupted", 3, files={"slow.py": body}).good(3):
        failed = ["GlobalImportError", [1], "KeyboardInterrupt"]
        assert told["caught"] == (["KeyboardInterrupt"] if told["rank"] == 1 else failed)
        assert told["next"] == "good"


def test_a_caller_in_c_imports_through_the_worker(run):
    for told in run("worker", 2).good(2):
        assert (told["without"], told["undone"], told["done"], told["often"]) == (1, 1, 0, 0)
        assert told["gone"]
        assert told["runs"] == 1
        assert told["thread"] == "dlcast imports"


@pytest.mark.skipif(not sysconfig.get_config_var("Py_ENABLE_SHARED"), reason="this Python cannot be embedded")
@pytest.mark.skipif(shutil.which("mpicc") is None, reason="there is no mpicc")
def test_a_c_program_that_embeds_python_shares_its_library_with_it(tmp_path):
    write(tmp_path / "modules", MODULES)
    packaged = Path(dlcast.__file__).with_name("_lib")
    soname = tmp_path / "libdlcast.so.0"
    soname.symlink_to(packaged / "libdlcast.so")
    libpython = sysconfig.get_config_var("LIBDIR")
    command = ["mpicc", "-o", str(tmp_path / "host"), str(job.PROGRAMS / "host.c"), str(soname)]
    command += [f"-I{sysconfig.get_path('include')}", f"-I{packaged}", f"-L{libpython}"]
    command += [f"-lpython{sysconfig.get_python_version()}", f"-Wl,-rpath,{libpython}:{tmp_path}"]
    subprocess.run(command, check=True)
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    result = job.launch([str(tmp_path / "host"), str(tmp_path / "modules")], 2, environment)
    for told in result.good(2):
        assert told["statuses"] == [0, 0, 1]
        assert told["copies"] == 1
        assert told["imported"] == 1
        assert told["rounds"] == 0


def test_the_command_is_packaged():
    command = Path(sys.executable).with_name("dlcast")
    help_text = subprocess.run([command, "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "dlcast" in help_text


def test_a_bad_timeout_or_mode_of_one_rank_does_not_keep_the_others_waiting(run):
    for told in run("bad_timeout", 3).good(3):
        wrong = ["ValueError", "ValueError", "ValueError", "TypeError", "OverflowError", "ValueError"]
        assert told["caught"] == (wrong if told["rank"] == 1 else [])


def test_a_file_that_was_replaced_after_it_was_opened_is_never_taken_for_it(run, compile_library, tmp_path):
    old, new = (compile_library(f"v{n}", f"int answer(void) {{ return {n}; }}") for n in (1, 2))
    for told in run("replaced", 2, str(tmp_path / "libanswer.so"), old, new).good(2):
        assert told["committed"] == 0
        assert "was replaced after this process had opened it" in told["undone"][0]
        assert told["answer"] == 2


def test_threads_that_wait_for_one_future_share_its_round(run):
    for told in run("futures_in_threads", 2).good(2):
        assert told["results"] == (["good"] * 3 if told["rank"] == 0 else [])
        assert told["next"] == "other"


def test_what_a_deadline_leaves_undecided_is_undone(run):
    body = "import time\nfrom mpi4py import MPI\ntime.sleep(6 if MPI.COMM_WORLD.rank == 1 else 0)"
    for told in run("slow_body", 3, files={"slow.py": body}).good(3):
        assert not told["kept"]
        assert f"rank 1 ({HOST})" in told["said"]
        assert "still be opening or importing" in told["said"]
        assert told["seconds"] < (8 if told["slow"] else 4)


def test_a_forked_child_is_refused(run):
    for told in run("forked", 2).good(2):
        assert "forked" in told["said"]
        assert told["parent"] == 0


def test_the_command_loads_no_mpi():
    command = Path(dlcast.__file__).parent / "_lib" / "dlcast"
    needed = subprocess.run(["readelf", "-d", command], check=True, stdout=subprocess.PIPE, text=True).stdout
    assert "NEEDED" in needed
    assert "libmpi" not in needed


def test_what_was_undone_and_mended_is_the_mended_one_everywhere(run, compile_library, tmp_path):
    provider = compile_library("provider", "int provided(void) { return 9; }", name="libprovider.so")
    calls = "int provided(void); int (*used)(void) = provided; int answer(void) { return 1; }"
    needy, mended = (
        compile_library("needy", calls),
        compile_library("mended", "int answer(void) { return 2; }"),
    )
    for told in run("rebuilt", 2, str(tmp_path / "libanswer.so"), provider, needy, mended).good(2):
        assert told["failing"] == [1, 1]
        assert (told["library"], told["module"]) == (2, 2)


def test_lazy_binding_stays_lazy(run, compile_library):
    library = compile_library("lazy", "int nowhere(void); int call(void) { return nowhere(); }")
    for told in run("lazy", 2, library).good(2):
        assert told["recorded"] == 1
        assert told["loaded"]
        assert "nowhere" in told["at_once"]
