"""Starts the ranks of a job, ends it in any case, and collects what they said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).with_name("programs")

# What the MPIs want where more ranks than cores run, perhaps as root.
ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_ALLOW_RUN_AS_ROOT": "1",
    "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


@dataclass(frozen=True)
class Result:
    """How a job ended."""

    code: int
    seconds: float
    output: str
    """Both streams, for the reader of a failure."""
    said: list[dict[str, Any]]
    """What the ranks told, in the order of ranks, each rank's in its own order."""

    def good(self, ranks: int) -> list[dict[str, Any]]:
        """What each rank told, where every rank told one thing and ended well."""
        assert self.code == 0, self.output
        assert [told["rank"] for told in self.said] == list(range(ranks)), self.output
        return self.said


def run(
    program: str,
    ranks: int | None,
    *arguments: str,
    modules: Path,
    limit: float = 60,
    python: Sequence[str] = ("-m", "mpi4py"),
) -> Result:
    """Runs a Python program on some ranks; None is a process without mpirun."""
    command = [sys.executable, *python, str(PROGRAMS / f"{program}.py"), *arguments]
    return launch(command, ranks, {"PYTHONPATH": str(modules)}, limit)


def launch(
    command: Sequence[str], ranks: int | None, environment: Mapping[str, str], limit: float = 60
) -> Result:
    """Runs a command on some ranks. Past `limit` seconds it is an error."""
    begun = time.monotonic()
    job = subprocess.Popen(
        [*([] if ranks is None else ["mpirun", "-n", str(ranks)]), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        start_new_session=True,
    )
    try:
        out, err = job.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        out, err = _end(job)
        raise AssertionError(f"{command} hung for {limit} s\n{out.decode()}\n{err.decode()}") from None
    # The launcher may put what two ranks say on one line.
    lines = out.replace(b'}{"rank": ', b'}\n{"rank": ').splitlines()
    said = [json.loads(line) for line in lines if line.startswith(b'{"rank": ')]
    said.sort(key=lambda told: int(told["rank"]))
    return Result(job.returncode, time.monotonic() - begun, out.decode() + err.decode(), said)


def _end(job: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """First mpirun alone, which ends its ranks; they are no children of ours."""
    job.terminate()
    try:
        return job.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        return job.communicate()
