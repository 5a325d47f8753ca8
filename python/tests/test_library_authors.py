"""The page for library authors: its commands build its library, and its programs run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import job
import pytest

import dlcast

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "library-authors.md"

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(not PAGE.exists(), reason="needs the repository around it"),
]

# The same lines in every mode.
MODES = ["collective", "service"]


def blocks() -> list[tuple[str, str]]:
    """Language and text of each block of the page."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert {language for language, _ in found} == {"cpp", "python", "sh"}
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's files, each named by its first line, and what its commands make of them."""
    folder = tmp_path_factory.mktemp("page")
    prefix = folder / "prefix"
    prefix.mkdir()
    installed = Path(dlcast.__file__).with_name("_lib")
    for name in ("include", "lib"):
        (prefix / name).symlink_to(installed)
    filled = (ROOT / "dlcast.pc.in").read_text().replace("@PREFIX@", str(prefix)).replace("@VERSION@", "0")
    (prefix / "dlcast.pc").write_text(filled)
    for language, text in blocks():
        if language == "sh":
            found = {**os.environ, "PKG_CONFIG_PATH": str(prefix)}
            done = subprocess.run(["sh", "-euc", text], cwd=folder, env=found, capture_output=True, text=True)
            assert done.returncode == 0, text + done.stderr
            assert not done.stderr, text + done.stderr
        else:
            first = re.match(r"(?://|#) (\S+\.\w+)\n", text)
            assert first, f"a file begins with its name: {text}"
            file = folder / first[1]
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
    return folder


def run(folder: Path, program: Path, mode: str, ranks: int = 3) -> job.Result:
    # Whoever waited inside an import would wait in vain, until this deadline.
    found = {"PYTHONPATH": str(folder), "DLCAST_MODE": mode, "DLCAST_TIMEOUT": "30"}
    result = job.launch([sys.executable, "-m", "mpi4py", str(program)], ranks, found)
    assert result.code == 0, result.output
    assert result.seconds < 30, result.output
    return result


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program", ["all.py", "one.py", "by_name.py"])
def test_the_programs_of_the_page_run(folder: Path, program: str, mode: str) -> None:
    result = run(folder, folder / program, mode)
    # Twice the sum: the callback has run, once, on every rank.
    assert result.output.count("total 6.0") == 3, result.output


CHECKS = """
import ctypes, sys
from array import array
import dlcast
from mpi4py import MPI
from here import rank, tell
dlcast.attach()
if rank in map(int, sys.argv[1:]):
    import hydro
report = dlcast.sync()
MPI.COMM_WORLD.Barrier()
hydro = sys.modules["hydro"]
with open("/proc/self/maps") as maps:
    mapped = {line.split()[-1] for line in maps if "libhydro.so" in line}
tell(
    undone=[str(item) for item in report.undone],
    ids=[task.id for task in dlcast.tasks()["hydro"].values()],
    ready=[payload.decode() for payload in hydro.api.ready],
    total=hydro.total(array("d", [1.0, 2.0])),
    mapped=len(mapped),
)
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("who", [["1"], ["0", "1", "2"], ["0", "2"]])
def test_whoever_imports_it_every_rank_has_all_of_it_once(folder: Path, who: list[str], mode: str) -> None:
    program = folder / "checks.py"
    program.write_text(CHECKS)
    found = {"PYTHONPATH": f"{folder}:{job.PROGRAMS}", "DLCAST_MODE": mode, "DLCAST_TIMEOUT": "30"}
    result = job.launch([sys.executable, "-m", "mpi4py", str(program), *who], 3, found)
    said = result.good(3)
    for told in said:
        assert told == {
            "rank": told["rank"],
            "undone": [],
            "ids": said[0]["ids"],
            "ready": ["hydro"],
            "total": 6.0,
            "mapped": 1,
        }


NATIVE = """
import ctypes
import dlcast
from mpi4py import MPI
from here import rank, tell
dlcast.attach()
nested = None
if rank == 1:
    import body
    nested = body.status
dlcast.sync()
MPI.COMM_WORLD.Barrier()
import hydro
more = ctypes.CDLL(f"{hydro.__path__[0]}/libmore.so")
status = more.hydro_load(str(hydro.api.LIBRARY).encode())
tell(nested=nested, plugins=list(dlcast.tasks()), status=status)
"""
BODY = """
import ctypes
import importlib.util
from pathlib import Path
folder = Path(importlib.util.find_spec("hydro").origin).parent
more = ctypes.CDLL(str(folder / "libmore.so"))
status = more.hydro_load(str(folder / "libhydro.so").encode())
"""


@pytest.mark.parametrize("mode", MODES)
def test_native_code_in_a_body_is_told_that_it_is_nested(folder: Path, mode: str) -> None:
    (folder / "native.py").write_text(NATIVE)
    (folder / "body.py").write_text(BODY)
    found = {"PYTHONPATH": f"{folder}:{job.PROGRAMS}", "DLCAST_MODE": mode, "DLCAST_TIMEOUT": "30"}
    result = job.launch([sys.executable, "-m", "mpi4py", str(folder / "native.py")], 3, found)
    for told in result.good(3):
        assert told == {
            "rank": told["rank"],
            "nested": 1 if told["rank"] == 1 else None,
            "plugins": ["hydro"],
            "status": 0,
        }
