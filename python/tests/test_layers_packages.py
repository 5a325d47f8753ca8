"""Packages from PyPI whose libraries are in another layer: found by `activate` alone, or by links alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import environments
import job
import packages
import pytest
from packages import Pair, pair

ACTIVATE = "import dlcast.layers\ndlcast.layers.activate(stack)\n"
# Where what is called so is mapped from; two paths of one content are one.
OF = """
def of(name):
    import hashlib, os
    files = {line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if "/" in line}
    files = {file for file in files if os.path.basename(file).startswith(name)}
    assert len({hashlib.sha256(open(file, "rb").read()).digest() for file in files}) == len(files) == 1, files
    return files.pop()
"""
MLX = "import mlx.core\ntold = mlx.core.array([1, 2, 3]).sum().item()\n"
# Where there is MPI, too, one process in six with tbb4py dies at its end, as threads of tbb's are still at
# work when their code is unloaded. It is so in one environment without dlcast, and not what is claimed here.
TBB = """
import atexit, ctypes, os, sys, tbb
def leave():
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi and not mpi.Get_library_version().startswith("Open MPI"):
        # MPICH takes leave of its launcher when the process ends, and not before.
        return
    if mpi and not mpi.Is_finalized():
        mpi.Finalize()
    sys.stdout.flush()
    os._exit(0)
group, done = tbb.task_group(), []
group.run(lambda: done.append(6))
group.wait()
atexit.register(leave)
"""
RMM = OF + "import librmm\nlibrmm.load_library()\ntold = of('librapids_logger.so')\n"
MPI = OF + "from mpi4py import MPI\ntold = [MPI.COMM_WORLD.size, of('libmpi.so')]\n"
MPICH = {"MPI4PY_MPIABI": "mpich"}
needs_mpich = pytest.mark.skipif(
    b"libmpi.so.12\0" not in packages.LIBRARY.read_bytes(),
    reason="needs a dlcast for MPICH: ci/matrix mpich5",
)


def start(
    pair: Pair, code: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [pair.python, "-c", _program(pair, code)],
        env={**packages.environment(), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )


def run(pair: Pair, code: str, environment: dict[str, str] | None = None) -> Any:
    result = start(pair, code, environment)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def _program(pair: Pair, code: str) -> str:
    return f"import json, sys\nstack = {str(pair.stack)!r}\n{code}\nprint(json.dumps(told))\n"


def on_ranks(pair: Pair, code: str, *, before: list[str] | None = None) -> list[dict[str, Any]]:
    """On four ranks of the MPI that dlcast is built with; `before` is what starts Python."""
    begin = f"import mpi4py.MPI, dlcast.layers\nstack = {str(pair.stack)!r}\n"
    end = "\nimport os, json\nrank = mpi4py.MPI.COMM_WORLD.rank\n"
    end += 'os.write(1, (json.dumps({"rank": rank, "told": told}) + "\\n").encode())\n'
    command = [*(before or []), str(pair.python), "-m", "mpi4py", "-c", begin + code + end]
    # mpi4py looks in the environment that it runs in, which is the consumer's, and then in the host.
    own = f"{sys.prefix}/lib{os.pathsep}"
    return job.launch(command, 4, {"LD_LIBRARY_PATH": "", "PYTHONPATH": "", "MPI4PY_LIBMPI": own}).good(4)


def under_mpich(pair: Pair, code: str) -> list[Any]:
    """On four ranks of the layer's own MPI."""
    # One rank speaks: the launcher may put what two say into one line.
    code += "told = MPI.COMM_WORLD.gather(told)\nif MPI.COMM_WORLD.rank:\n    sys.exit()\n"
    command = [pair.provider / "bin" / "mpiexec", "-n", "4", pair.python, "-c", _program(pair, code)]
    done = subprocess.run(command, env=packages.environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told: list[Any] = json.loads(done.stdout)
    return told


def test_mlx():
    mlx = pair("mlx")
    assert "libmlx.so: cannot open shared object file" in start(mlx, MLX).stderr
    assert run(mlx, ACTIVATE + MLX) == 6


def test_tbb_is_one_copy_in_memory_whatever_it_is_called():
    tbb4py = pair("tbb4py")
    assert "libtbb.so.12: cannot open shared object file" in start(tbb4py, TBB + "told = 0").stderr
    code = f"""{OF}{TBB}
for name in ("libtbb.so", "libtbb.so.12", "libtbb.so.12.20", "libirml.so.1"):
    ctypes.CDLL(name)
told = [done, of("libtbb.so")]
"""
    assert run(tbb4py, ACTIVATE + code) == [[6], str(tbb4py.provider / "lib" / "libtbb.so.12")]


def test_librmm_is_not_disturbed():
    librmm = pair("librmm-cu12")
    assert run(librmm, RMM) == run(librmm, ACTIVATE + RMM)


def test_mpi4py_gets_the_mpi_of_its_layer():
    mpi4py = pair("mpi4py")
    own = str(mpi4py.provider / "lib" / "libmpi.so.12")
    assert "libmpi.so.12: cannot open shared object file" in start(mpi4py, MPI, MPICH).stderr
    assert run(mpi4py, ACTIVATE + MPI, MPICH) == [1, own]


def test_mpi4py_gets_the_mpi_of_its_layer_where_the_host_has_one():
    mpi4py = pair("mpi4py")
    host = "import ctypes\nctypes.CDLL('libmpi.so')\ntold = 0"
    if start(mpi4py, host).returncode != 0:
        pytest.skip("the host has no MPI that could be taken for it")
    # The layer's libmpi.so is a text for the linker, so that ld.so goes on to the host's.
    assert run(mpi4py, MPI)[1] != str(mpi4py.provider / "lib" / "libmpi.so.12")
    assert run(mpi4py, ACTIVATE + MPI) == [1, str(mpi4py.provider / "lib" / "libmpi.so.12")]


def test_mpi4py_and_its_mpi_on_four_ranks():
    mpi4py = pair("mpi4py")
    assert under_mpich(mpi4py, ACTIVATE + MPI) == [[4, str(mpi4py.provider / "lib" / "libmpi.so.12")]] * 4


@pytest.mark.mpi
@pytest.mark.parametrize("how", ["import mlx.core", "dlcast.import_global('mlx.core')"])
def test_mlx_on_four_ranks(how):
    code = f"dlcast.layers.activate(stack)\n{how}\n{MLX}"
    assert [told["told"] for told in on_ranks(pair("mlx"), code)] == [6] * 4


@pytest.mark.mpi
@pytest.mark.parametrize("how", ["import tbb", "dlcast.import_global('tbb')"])
def test_tbb_on_four_ranks(how):
    tbb4py = pair("tbb4py")
    code = f"{OF}dlcast.layers.activate(stack)\n{how}\n{TBB}told = [done, of('libtbb.so')]"
    own = str(tbb4py.provider / "lib" / "libtbb.so.12")
    assert [told["told"] for told in on_ranks(tbb4py, code)] == [[[6], own]] * 4


@pytest.mark.mpi
@pytest.mark.parametrize("policy", ["eager", "deferred"])
@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("mlx", MLX, 6),
        (
            "tbb4py",
            f"{OF}{TBB}ctypes.CDLL('libtbb.so')\ntold = [done, of('libtbb.so')]",
            [[6], "libtbb.so.12"],
        ),
    ],
)
def test_plain_imports_under_dlcast_run(policy, name, code, expected):
    there = pair(name)
    command = [str(packages.LIBRARY.with_name("dlcast")), "run", "--stack", str(there.stack)]
    told = [told["told"] for told in on_ranks(there, code, before=[*command, "--policy", policy, "--"])]
    if name == "tbb4py":
        expected = [expected[0], str(there.provider / "lib" / expected[1])]
    assert told == [expected] * 4


@pytest.mark.mpi
def test_librmm_is_not_disturbed_on_four_ranks():
    librmm = pair("librmm-cu12")
    code = f"dlcast.layers.activate(stack)\ndlcast.import_global('librmm')\n{RMM}"
    assert {told["told"] for told in on_ranks(librmm, code)} == {run(librmm, RMM)}


@pytest.mark.mpi
@needs_mpich
@pytest.mark.parametrize("how", ["dlcast.attach()", "dlcast.import_global('mpi4py.util')"])
def test_dlcast_itself_gets_the_mpi_of_its_layer(how):
    mpi4py = pair("mpi4py")
    code = f"{ACTIVATE}{MPI}import dlcast\n{how}\n{ACTIVATE}{MPI}"
    assert under_mpich(mpi4py, code) == [[4, str(mpi4py.provider / "lib" / "libmpi.so.12")]] * 4


@pytest.mark.mpi
@needs_mpich
def test_links_and_the_wrapper_give_dlcast_itself_the_mpi_of_its_layer():
    mpi4py = pair("mpi4py", linked=True)
    code = f"import dlcast\n{MPI}dlcast.import_global('mpi4py.util')\n{MPI}"
    assert under_mpich(mpi4py, code) == [[4, str(mpi4py.provider / "lib" / "libmpi.so.12")]] * 4


@pytest.mark.parametrize(
    ("name", "needs"), [("mlx", "libmlx.so"), ("tbb4py", "libtbb.so.12"), ("mpi4py", "libmpi.so.12")]
)
def test_check_tells_what_links_cure(name, needs):
    def check(stack: Path) -> subprocess.CompletedProcess[str]:
        command = [environments.COMMAND, "layers", "check", stack]
        return subprocess.run(command, env=packages.environment(), capture_output=True, text=True, timeout=60)

    before, after = check(pair(name).stack), check(pair(name, linked=True).stack)
    assert before.returncode == 1
    assert f"problem: {needs} is not found as the stack is now\n" in before.stdout
    assert "way out: layer `provider` has it (" in before.stdout
    # What is left, such as the module for another MPI, is no business of these two.
    assert f"problem: {needs} " not in after.stdout


def test_links_and_the_wrapper_serve_mlx():
    assert run(pair("mlx", linked=True), MLX) == 6


def test_links_and_the_wrapper_serve_tbb_as_one_copy_in_memory():
    tbb4py = pair("tbb4py", linked=True)
    opened = "for name in ('libtbb.so', 'libtbb.so.12', 'libtbb.so.12.20'):\n    ctypes.CDLL(name)\n"
    own = str(tbb4py.provider / "lib" / "libtbb.so.12")
    assert run(tbb4py, f"{OF}{TBB}{opened}told = [done, of('libtbb.so')]") == [[6], own]


def test_links_and_the_wrapper_do_not_disturb_librmm():
    plain, linked = pair("librmm-cu12"), pair("librmm-cu12", linked=True)
    assert run(linked, RMM).replace(str(linked.provider), "") == run(plain, RMM).replace(
        str(plain.provider), ""
    )


@pytest.mark.parametrize("variables", [MPICH, {}], ids=["asked for", "not asked for"])
def test_links_and_the_wrapper_give_mpi4py_the_mpi_of_its_layer(variables):
    mpi4py = pair("mpi4py", linked=True)
    assert run(mpi4py, MPI, variables) == [1, str(mpi4py.provider / "lib" / "libmpi.so.12")]
    assert under_mpich(mpi4py, MPI) == [[4, str(mpi4py.provider / "lib" / "libmpi.so.12")]] * 4


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("name", "code"),
    [("mlx", MLX), ("tbb4py", TBB + "told = done"), ("librmm-cu12", RMM + "told = bool(told)")],
)
def test_links_and_the_wrapper_serve_four_ranks(name, code):
    linked = pair(name, linked=True)
    expected = run(linked, code)
    assert [told["told"] for told in on_ranks(linked, code)] == [expected] * 4
