"""The console script: becomes the packaged `dlcast` command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn


def main() -> NoReturn:
    """Replaces this process; the command itself needs no Python."""
    command = Path(__file__).with_name("_lib") / "dlcast"
    os.execv(command, ["dlcast", *sys.argv[1:]])
