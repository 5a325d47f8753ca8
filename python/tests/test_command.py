"""The console script becomes the packaged command, and hands on what it was started with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dlcast

COMMAND = str(Path(sys.executable).with_name("dlcast"))


def lines(*command: str, **variables: str) -> list[str]:
    """What a command prints under `env -i` with these variables, from a shell that ignores no signal."""
    clean = ["env", "-i", "--default-signal", *(f"{name}={value}" for name, value in variables.items())]
    done = subprocess.run([*clean, *command], check=True, stdout=subprocess.PIPE, text=True, timeout=60)
    return done.stdout.splitlines()


def test_the_shim_is_packaged_beside_the_library():
    shim = Path(dlcast.__file__).parent / "_lib" / "libdlcast_preload.so"
    assert f"LD_PRELOAD={shim}" in lines(COMMAND, "run", "--", "env", PATH="/usr/bin:/bin")


def test_the_environment_of_a_program_is_that_of_the_command():
    for variables in ({"LC_ALL": "C"}, {"LANG": "C", "B": "", "A": "a=b"}, {}):
        variables = {"PATH": "/usr/bin:/bin", **variables}
        without = lines("env", **variables)
        with_it = lines(COMMAND, "run", "--", "env", **variables)
        added = [line.split("=")[0] for line in with_it[len(without) :]]
        assert (with_it[: len(without)], added) == (without, ["LD_PRELOAD", "DLCAST_PRELOAD"])


def test_a_program_does_not_ignore_what_python_ignores():
    look = ["grep", "SigIgn", "/proc/self/status"]
    assert lines(COMMAND, "run", "--", *look, PATH="/usr/bin:/bin") == lines(*look)
