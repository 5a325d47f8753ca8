"""Compares the start of a layer's Python with the plain interpreter's and venvstacks' wrapper's, by turns.

Fails when the wrapper calls a program or forks, never for a time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import venv
import warnings
from pathlib import Path

with warnings.catch_warnings():
    # It says that its interface may change.
    warnings.simplefilter("ignore")
    from venvstacks.stacks import LayeredEnvBase

# The least that Python does, so that what comes before it is seen.
NOTHING = ["-I", "-S", "-c", ""]
LAYERS = ("app", "framework", "runtime")


def main() -> None:
    """Compares them: DLCAST is the command, PAIRS how often each is timed."""
    dlcast, pairs = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        ours, theirs = stack(root / "ours"), stack(root / "theirs")
        subprocess.run([dlcast, "layers", "link", root / "ours"], check=True, stdout=subprocess.DEVNULL)
        by_venvstacks(root / "theirs")
        programs = [ours.with_name("python_"), ours, theirs]
        steps = [started(program, root / "trace") for program in programs]
        named = zip(("plain", "dlcast", "venvstacks"), steps, strict=True)
        counts = ", ".join(f"{name} {processes} and {calls}" for name, (processes, calls) in named)
        print(f"processes and programs of a start: {counts}")
        times = [[timed(program) for program in programs] for _ in range(pairs + 1)][1:]
        if times:
            report(times)
    if steps[1] != (1, 2):
        sys.exit(f"start: dlcast's wrapper is not one process and two programs, but {steps[1]}")


def report(times: list[list[float]]) -> None:
    """Prints medians in ms, and how much each takes more than the plain one."""
    medians = [statistics.median(column) * 1e3 for column in zip(*times, strict=True)]
    more = [statistics.median(turn[at] - turn[0] for turn in times) * 1e3 for at in (1, 2)]
    print(
        f"start: plain {medians[0]:.1f} ms, dlcast {medians[1]:.1f} ms, venvstacks {medians[2]:.1f} ms; "
        f"more than plain: dlcast {more[0]:.1f} ms, venvstacks {more[1]:.1f} ms"
    )


def stack(root: Path) -> Path:
    """Three layers; the Python of the first."""
    text = ""
    for at, name in enumerate(LAYERS):
        venv.create(root / name, symlinks=True)
        text += f"[[layer]]\nname = '{name}'\npath = '{name}'\nuses = {list(LAYERS[at + 1 :])}\n"
    (root / "stack.toml").write_text(text)
    return root / "app" / "bin" / "python"


def by_venvstacks(root: Path) -> None:
    """Puts its wrapper there, as it does."""
    python = root / "app" / "bin" / "python"
    text = LayeredEnvBase._generate_python_sh(
        python, "python_", [root / name / "share" / "venv" / "dynlib" for name in LAYERS]
    )
    python.with_name("python_").symlink_to(python.resolve())
    python.unlink()
    python.write_text(text)
    python.chmod(0o755)


def started(program: Path, trace: Path) -> tuple[int, int]:
    """How many processes a start takes, and how many programs."""
    calls = "execve,clone,clone3,fork,vfork"
    subprocess.run(
        ["strace", "-f", "-qq", "-o", trace, "-e", f"trace={calls}", program, *NOTHING], check=True
    )
    lines = [line.split(None, 1) for line in trace.read_text().splitlines()]
    programs = sum(call.startswith("execve") and call.endswith("= 0") for _, call in lines)
    return len({process for process, _ in lines}), programs


def timed(program: Path) -> float:
    """How long it takes, in s."""
    start = time.perf_counter()
    subprocess.run([program, *NOTHING], check=True)
    return time.perf_counter() - start


main()
