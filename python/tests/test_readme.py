"""The README's examples run as they stand there: Python, and C by way of scripts/install and pkg-config."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import job
import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="needs the repository around it"),
]


def examples(language: str) -> list[str]:
    """The blocks in this language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )


def test_the_python_examples_run(tmp_path: Path) -> None:
    collective, service = examples("python")
    program = tmp_path / "app.py"
    program.write_text(service)
    result = job.launch([sys.executable, "-m", "mpi4py", str(program)], 3, {})
    assert result.code == 0, result.output
    assert result.output.count("has numpy") == 3, result.output
    program.write_text(collective)
    result = job.launch([sys.executable, "-m", "mpi4py", str(program)], 3, {})
    assert result.code == 0, result.output
    assert result.output.count("libz.so.1") == 3, result.output


def test_the_c_example_compiles_with_pkg_config_and_runs(tmp_path: Path) -> None:
    subprocess.run([ROOT / "scripts" / "install", tmp_path / "prefix"], check=True, capture_output=True)
    [source] = examples("c")
    (tmp_path / "app.c").write_text(source)
    found = {**os.environ, "PKG_CONFIG_PATH": str(tmp_path / "prefix" / "lib" / "pkgconfig")}
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "dlcast"], env=found, check=True, capture_output=True, text=True
    ).stdout.split()
    program = tmp_path / "app"
    compile_it = [
        "mpicc",
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        tmp_path / "app.c",
        *flags,
        "-o",
        program,
    ]
    subprocess.run(compile_it, check=True)
    # The loader must find the library, as after any installation into a prefix of one's own.
    result = job.launch([str(program)], 2, {"LD_LIBRARY_PATH": str(tmp_path / "prefix" / "lib")})
    assert result.code == 0, result.output
    assert result.output.count('"outcome":"committed"') == 2, result.output
