"""A stack that venvstacks itself has built, and exported: scanned, checked, linked and activated.

All is venvstacks' own work, but for one thing: where it would download a Python for the runtime, it gets a
copy of the one that these tests run with (programs/venvstacks_with_own_runtime.py), as the place that it
downloads from may be out of reach. Packages come from an index, as in the other tests with real ones.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import environments
import job
import packages
import pytest
from environments import COMMAND, KEPT, ROOT

import dlcast

PINNED = ROOT / "scripts" / "requirements-venvstacks.txt"
RUNTIME = f"cpython-{sys.version_info[0]}.{sys.version_info[1]}"
LAYERS = {
    RUNTIME: [],
    "framework-threads": [RUNTIME],
    "framework-mpi": ["framework-threads", RUNTIME],
    "app-sums": ["framework-mpi", "framework-threads", RUNTIME],
}
# What the libraries of the frameworks serve, and where they are taken from.
PROGRAM = """
import json, os, sys
import tbb
from mpi4py import MPI
group, done = tbb.task_group(), []
group.run(lambda: done.append(6))
group.wait()
files = {line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if "/" in line}
of = lambda name: sorted(file for file in files if os.path.basename(file).startswith(name))
python = [sys.executable, sys.base_prefix]
print(json.dumps([done, MPI.COMM_WORLD.size, of("libtbb.so"), of("libmpi.so"), *python]), flush=True)
MPI.Finalize()
# Threads of tbb's outlive their code at an ordinary exit.
os._exit(0)
"""


def pinned(*names: str) -> list[str]:
    """As the other tests have these packages."""
    lines = environments.PINNED.read_text().splitlines()
    return [line.split()[0] for line in lines if line.split("==")[0] in names]


TOML = f"""
[[runtimes]]
name = "{RUNTIME}"
python_implementation = "cpython@{platform.python_version()}"
requirements = []

[[frameworks]]
name = "threads"
runtime = "{RUNTIME}"
requirements = {pinned("tbb", "tcmlib")}

[[frameworks]]
name = "mpi"
frameworks = ["threads"]
versioned = true
requirements = {pinned("mpich")}

[[applications]]
name = "sums"
launch_module = "sums.py"
frameworks = ["mpi"]
requirements = {pinned("tbb4py", "mpi4py")}
"""


class Built:
    """What venvstacks makes of the file above, in `_build` beside it."""

    def __init__(self, root: Path) -> None:
        """Builds it."""
        self.root = root
        self.file = root / "venvstacks.toml"
        self.file.write_text(TOML)
        (root / "sums.py").write_text(PROGRAM)
        self.build()

    def build(self) -> None:
        self.venvstacks("build", "--lock-if-needed", "--no-publish")

    def venvstacks(self, what: str, *options: str) -> None:
        program = job.PROGRAMS / "venvstacks_with_own_runtime.py"
        command = [_venvstacks() / "bin/python", program, what, *options, self.file]
        done = subprocess.run(
            command, env=packages.environment(), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _venvstacks() -> Path:
    """Its environment, which is kept, as those of packages are."""
    [pin] = [line for line in PINNED.read_text().splitlines() if not line.startswith("#")]
    folder = KEPT / f"{sys.implementation.cache_tag}-{pin}"
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, symlinks=True)
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", folder / "bin/python", "install"]
        subprocess.run([*pip, "--disable-pip-version-check", "--requirement", PINNED], check=True)
        (folder / "made").touch()
    return folder


@pytest.fixture(scope="module")
def built() -> Iterator[Built]:
    with tempfile.TemporaryDirectory(prefix="dlcast-venvstacks-") as folder:
        yield Built(Path(folder).resolve())


def layers(what: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the command, whatever comes of it."""
    environment = packages.environment()
    command = [COMMAND, "layers", what, *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def good(what: str, *options: str | Path) -> str:
    done = layers(what, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def start(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The Python of the application."""
    command = [folder / "app-sums/bin/python", *arguments]
    return subprocess.run(command, env=packages.environment(), capture_output=True, text=True, timeout=60)


def said(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def expected(folder: Path, mpi: str = "framework-mpi") -> list[Any]:
    """What the program says where each library is taken from its layer."""
    tbb, libmpi = folder / "framework-threads/lib/libtbb.so.12", folder / mpi / "lib/libmpi.so.12"
    python, runtime = folder / "app-sums/bin/python", folder / RUNTIME
    return [[6], 1, [str(tbb)], [str(libmpi)], str(python), str(runtime)]


def activated(stack: Path) -> str:
    """The program with no wrapper but venvstacks'. The layers' packages come before dlcast's."""
    seen = [str(Path(dlcast.__file__).parents[1]), *filter(os.path.isdir, sys.path)]
    activate = f"import dlcast.layers\ndlcast.layers.activate({str(stack)!r})"
    return f"import sys\nsys.path += {seen}\n{activate}\n{PROGRAM}"


def test_what_venvstacks_has_built_is_served_by_activate_and_by_links(built):
    build = built.root / "_build"
    told = json.loads(good("scan", "--json", built.root))["layers"]
    assert {layer["name"]: layer["uses"] for layer in told} == LAYERS
    # venvstacks' own wrapper and links are there, and these libraries are not among the links.
    assert "# Allow extension modules" in (build / "app-sums/bin/python").read_text()
    assert "libtbb.so.12: cannot open shared object file" in start(build, "-m", "sums").stderr
    checked = layers("check", built.file)
    assert checked.returncode == 1, checked.stdout
    for name, layer in (("libtbb.so.12", "framework-threads"), ("libmpi.so.12", "framework-mpi")):
        assert f"problem: {name} is " in checked.stdout
        assert f"way out: layer `{layer}` has it" in checked.stdout

    plan = good("plan", built.file, "--path", build / "app-sums" / environments.PACKAGES)
    assert str(build / "framework-threads/lib/libtbb.so.12") in json.dumps(json.loads(plan))
    assert said(start(build, "-c", activated(built.file))) == expected(build)

    linked = good("link", built.file)
    assert linked.count("bin/python taken over from venvstacks") == 3, linked
    assert said(start(build, "-m", "sums")) == expected(build)
    assert "\nno problem" in good("check", built.file)
    assert good("link", built.file).count("bin/python as it was") == len(LAYERS)


def test_what_venvstacks_has_built_again_is_linked_again(built):
    build = built.root / "_build"
    good("link", built.file)
    # By way of the wrapper of the runtime.
    built.build()
    assert "# Allow extension modules" in (build / "app-sums/bin/python").read_text()
    linked = good("link", built.file)
    assert linked.count("bin/python taken over from venvstacks") == 3, linked
    assert said(start(build, "-m", "sums")) == expected(build)


def test_what_venvstacks_has_exported_is_served_wherever_it_is(built):
    export, moved = built.root / "exported", built.root / "moved"
    built.venvstacks("local-export", "--output-dir", str(export))
    shutil.copy2(built.file, export)

    def postinstall(folder: Path) -> None:
        for layer in ("framework-threads", "framework-mpi@1", "app-sums"):
            environments.run(folder / RUNTIME / "bin/python", folder / layer / "postinstall.py")

    postinstall(export)
    assert said(start(export, "-c", activated(export))) == expected(export, "framework-mpi@1")
    linked = good("link", built.file, "--build-dir", export)
    assert linked.count("bin/python taken over from venvstacks") == 3, linked
    assert good("link", export).count("bin/python as it was") == len(LAYERS)
    assert said(start(export, "-m", "sums")) == expected(export, "framework-mpi@1")
    good("check", export)

    export.rename(moved)
    refused = start(moved, "-m", "sums")
    assert refused.returncode == 126
    assert "run dlcast layers link" in refused.stderr
    # Where modules are is venvstacks' own.
    postinstall(moved)
    assert said(start(moved, "-m", "sums")) == expected(moved, "framework-mpi@1")
    assert good("link", moved).count("bin/python as it was") == len(LAYERS)
