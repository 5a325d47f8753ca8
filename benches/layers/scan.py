"""Compares `dlcast layers scan` with venvstacks' own search, on the same environment, by turns.

venvstacks' function is timed alone, in a process that has it imported; dlcast as a command, with its start
and its output. Fails when dlcast counts something else than strace does, never for a time.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

with warnings.catch_warnings():
    # It says that its interface may change.
    warnings.simplefilter("ignore")
    from venvstacks._util import find_shared_libraries

TARGET = 3


def main() -> None:
    """Compares them: DLCAST is the command, ENVIRONMENT the folder, PAIRS how often each is timed."""
    dlcast, environment, pairs = sys.argv[1], Path(sys.argv[2]).resolve(), int(sys.argv[3])
    site = next(environment.glob("lib/python3*/site-packages"))
    version = re.findall(r"\d+", site.parent.name)
    with tempfile.TemporaryDirectory() as folder:
        stack = Path(folder) / "stack.toml"
        stack.write_text(f'[[layer]]\nname = "bench"\npath = {json.dumps(str(environment))}\n')
        scan = [dlcast, "layers", "scan", "--json", str(stack)]
        layer = json.loads(subprocess.run(scan, check=True, stdout=subprocess.PIPE).stdout)["layers"][0]
        told = layer["counts"]
        seen = counted(scan, environment, Path(folder) / "trace")

        def theirs() -> int:
            return len(list(find_shared_libraries((version[0], version[1]), site)))

        def ours() -> None:
            subprocess.run(scan, check=True, stdout=subprocess.DEVNULL)

        times = [(timed(theirs), timed(ours)) for _ in range(pairs + 1)][1:]
        objects = layer["objects"]
        objects = layer["objects"]
        libraries = sum(shared["class"] == "library" for shared in objects)
        print(
            f"libraries: {libraries} by ELF, among {len(objects)} objects; venvstacks: {theirs()}, by names"
        )
        print(
            "dlcast: {listed} files in {folders} folders listed, {opened} opened, {read} bytes read".format(
                **told
            )
        )
        if times:
            report(times)
    if seen != {"folders": told["folders"], "opened": told["opened"], "read": told["read"]}:
        sys.exit(f"scan: strace has seen something else: {seen}")


def report(times: list[tuple[float, float]]) -> None:
    """Prints medians in ms, and the ratio of the pairs."""
    theirs, ours = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
    ratios = sorted(one / other for one, other in times)
    low, middle, high = ratios[len(ratios) // 4], statistics.median(ratios), ratios[-1 - len(ratios) // 4]
    print(f"venvstacks {theirs:.1f} ms, dlcast {ours:.1f} ms; ", end="")
    print(f"ratio {middle:.2f} (quartiles {low:.2f} {high:.2f}), target {TARGET} or more: ", end="")
    print("met" if middle >= TARGET else "NOT MET")


def timed(run: Callable[[], object]) -> float:
    """How long it takes, in s."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def counted(command: list[str], environment: Path, trace: Path) -> dict[str, int]:
    """What strace sees: folders of the environment listed, files opened to be looked at, bytes read."""
    calls = "open,openat,getdents64,pread64"
    strace = ["strace", "--follow-forks", "--decode-fds=path", "--output", str(trace), "--trace", calls]
    subprocess.run([*strace, *command], check=True, stdout=subprocess.DEVNULL)
    folders, files, opened, read = set(), set(), 0, 0
    for call in whole(trace.read_text(errors="replace").splitlines()):
        result = call.rpartition(" = ")[2]
        path = call.partition("<")[2].partition(">")[0]
        if call.startswith("getdents64(") and path.startswith(str(environment)):
            folders.add(path)
        # What is looked at is opened in its folder, and in this way, and nothing else is.
        elif re.match(r"openat\((?!AT_FDCWD).*O_NOCTTY", call) and not result.startswith("-1"):
            files.add(result.partition("<")[2].partition(">")[0])
            opened += 1
        elif call.startswith("pread64(") and path in files:
            read += int(result)
    return {"folders": len(folders), "opened": opened, "read": read}


def whole(lines: list[str]) -> Iterator[str]:
    """The calls in a trace, with those that another thread interrupts put together."""
    begun: dict[str, str] = {}
    for line in lines:
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>")
        elif call.startswith("<... "):
            yield begun.pop(thread, "") + call.partition("resumed>")[2]
        else:
            yield call


main()
