"""The console script: becomes the packaged `dlcast` command."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn


def main() -> NoReturn:
    """Replaces this process; the command itself needs no Python.

    What Python has changed at its start is put back, because `dlcast run` hands it on to the program.
    """
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    command = Path(__file__).with_name("_lib") / "dlcast"
    os.execve(command, ["dlcast", *sys.argv[1:]], _environment())


def _environment() -> dict[bytes, bytes]:
    """What this process was started with: in the C locale, Python adds LC_CTYPE (PEP 538)."""
    try:
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environb)
    return dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)
