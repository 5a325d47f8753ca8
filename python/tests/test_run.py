"""Unmodified Python programs under `dlcast run`: mpi4py opens its MPI itself, inside an import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import job
import pytest

import dlcast

pytestmark = pytest.mark.mpi

# Of newer ones, mpi4py calls MPI_Bcast_c, which is a limit of the shim (docs/run.md).
FUNCTIONS_OF_MPI_3 = pytest.mark.skipif(
    "DLCAST_TEST_LARGE_COUNTS" in os.environ, reason="mpi4py calls functions with large counts"
)
COMMAND = str(Path(dlcast.__file__).parent / "_lib" / "dlcast")
MODULES = {
    "counter.py": "runs = 0",
    "wanted.py": """
import threading
import counter
counter.runs += 1
thread = threading.current_thread().name
""",
}
# An MPI program without Python, which stays for two seconds.
BYSTANDER = """
#include <mpi.h>
#include <unistd.h>
int main(void) {
  MPI_Init(NULL, NULL);
  sleep(2);
  MPI_Barrier(MPI_COMM_WORLD);
  return MPI_Finalize();
}
"""


def python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, str(job.PROGRAMS / f"{program}.py"), *arguments]


@pytest.fixture
def library(tmp_path: Path) -> str:
    (tmp_path / "answer.c").write_text("int answer(void) { return 42; }\n")
    path = tmp_path / "libanswer.so"
    command = [shutil.which("cc") or "gcc", "-shared", "-fPIC", "-o", str(path), "answer.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    return str(path)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., job.Result]:
    """Runs a command on some ranks, with MODULES and more on Python's path."""

    def run(command: list[str], ranks: int, **files: str) -> job.Result:
        for name, text in {**MODULES, **{f"{name}.py": text for name, text in files.items()}}.items():
            (tmp_path / name).write_text(text)
        path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
        return job.launch(command, ranks, {"PYTHONPATH": path}, 50)

    return run


def test_what_rank_0_opens_reaches_all_and_what_it_imports_does_not(run, library):
    program = python("unmodified", library)
    without = run(program, 3)
    result = run([COMMAND, "run", "--", *program], 3)
    assert result.good(3)[0] == without.good(3)[0]
    for told in result.good(3):
        assert told["word"] == [5.0, 42]
        assert told["library"]
        assert told["scipy"] == told["extension"] == (told["rank"] == 0)
        assert told["dlcast"] == []
    assert [told["library"] for told in without.said] == [True, False, False]
    assert "dlcast" not in result.output.replace('"dlcast": []', "")


def test_a_program_whose_mpi_dlcast_brings_up_is_served(run, library):
    program = f"import dlcast; print('answer', dlcast.load_global({library!r}).answer())"
    result = run([COMMAND, "run", "--timeout", "20", "--", sys.executable, "-c", program], 2)
    assert (result.code, result.output.count("answer 42")) == (0, 2), result.output


def test_a_library_whose_name_is_no_text_stays_and_is_said(run, library, tmp_path):
    path = os.fsencode(tmp_path) + b"/lib\xff.so"
    shutil.copy(library, path)
    program = f"from mpi4py import MPI; import ctypes, os; print(ctypes.CDLL(os.fsdecode({path!r})).answer())"
    result = run([COMMAND, "run", "--", sys.executable, "-c", program], 1)
    assert (result.code, "42" in result.output) == (0, True), result.output
    assert "its name is not UTF-8, and names travel as UTF-8" in result.output
    result = run([COMMAND, "run", "--strict", "--", sys.executable, "-c", program], 1)
    assert result.code != 0
    assert "OSError" in result.output


def test_the_exit_code_is_the_programs_own(run, library):
    program = python("unmodified", library, "3")
    assert run([COMMAND, "run", "--", *program], 2).code == run(program, 2).code == 3


def test_a_module_that_is_asked_for_is_imported_on_every_rank(run):
    result = run([COMMAND, "run", "--import", "wanted", "--", *python("unmodified_waits", "wanted", "20")], 3)
    for told in result.good(3):
        assert told == {"rank": told["rank"], "came": True, "runs": 1, "main_thread": False, "names": []}


@pytest.mark.parametrize(
    ("call", "name"),
    [("Barrier()", "MPI_Barrier"), pytest.param("bcast(1)", "MPI_Bcast", marks=FUNCTIONS_OF_MPI_3)],
)
def test_a_body_must_not_use_the_programs_communicators(run, call, name):
    talks = f"from mpi4py import MPI\nMPI.COMM_WORLD.{call}\n"
    command = [COMMAND, "run", "--import", "talks", "--", *python("unmodified_waits", "talks", "1")]
    result = run(command, 3, talks=talks)
    assert not any(told["came"] for told in result.good(3))
    assert result.output.count("import of `talks` failed on 3 of 3 ranks") == 1
    assert f"called {name}: what runs while all ranks load" in result.output


def test_a_module_that_is_missing_is_a_warning(run):
    result = run(
        [COMMAND, "run", "--import", "nonsuch", "--", *python("unmodified_waits", "nonsuch", "1")], 3
    )
    assert not any(told["came"] for told in result.good(3))
    assert result.output.count("dlcast: --import: import of `nonsuch` failed on 3 of 3 ranks") == 1
    assert "ranks 0-2 (" in result.output
    assert "No module named 'nonsuch'" in result.output


def test_ranks_without_python_are_passed_over(run, tmp_path):
    (tmp_path / "bystander.c").write_text(BYSTANDER)
    subprocess.run(["mpicc", "-o", "bystander", "bystander.c"], cwd=tmp_path, check=True)
    start = [COMMAND, "run", "--import", "wanted", "--"]
    waits = python("unmodified_waits", "wanted", "10")
    result = run([*start, str(tmp_path / "bystander"), ":", "-n", "1", *start, *waits], 1)
    assert result.code == 0, result.output
    assert [told["came"] for told in result.said] == [True], result.output
    result = run([*start, str(tmp_path / "bystander")], 2)
    assert result.code == 0, result.output
    assert result.output.count("this process has no Python to import with") == 1, result.output


def test_a_python_without_the_package_says_so_and_goes_on(run):
    start = [COMMAND, "run", "--timeout", "5", "--import", "wanted", "--"]
    result = run([*start, *python("unmodified_waits", "wanted", "1")], 2, dlcast="raise ImportError('none')")
    assert not any(told["came"] for told in result.good(2))
    assert result.output.count("cannot import the package dlcast: install it there") == 2
