"""What to open before what, so that libraries are found across layers: made by the `dlcast` command.

Nothing is opened here, and nothing sent.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dlcast._errors import LayersError

_FOLDER = Path(__file__).with_name("_lib")
_VERSION = 2


@dataclass(frozen=True, slots=True)
class Library:
    """A library of a layer that something else needs."""

    file: str
    layer: str
    soname: str | None
    """What ld.so takes it for once it is open."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one stack, for this process."""

    stack: str
    objects: dict[str, tuple[Library, ...]]
    """By the path of an object: what to open before it, in this order."""
    names: dict[str, tuple[Library, ...]]
    """By a name without a folder: what to open before what it means, and that last."""

    @classmethod
    def read(cls, text: str) -> Plan:
        """Reads what `dlcast layers plan` has written."""
        plan = json.loads(text)
        if plan["version"] != _VERSION:
            raise LayersError(
                f"the plan of {plan['stack']} is of version {plan['version']}, and this dlcast reads "
                f"{_VERSION}: give all ranks the same dlcast"
            )
        entries = plan["libraries"]
        libraries = [Library(entry["file"], entry["layer"], entry["soname"]) for entry in entries]

        def those(indices: Iterable[int]) -> tuple[Library, ...]:
            return tuple(libraries[index] for index in indices)

        return cls(
            plan["stack"],
            {path: those(first) for path, first in plan["objects"].items()},
            {name: those([*entries[index]["first"], index]) for name, index in plan["names"].items()},
        )

    def before(self, name: str) -> tuple[Library, ...]:
        """What has to be open before `name`, a path or not, is opened."""
        if "/" not in name:
            return self.names.get(name, ())
        if name in self.objects:
            return self.objects[name]
        folder, file = os.path.split(name)
        beside = self.objects.get(os.path.join(os.path.realpath(folder), file))
        return self.objects.get(os.path.realpath(name), ()) if beside is None else beside

    def file_of(self, name: str) -> str | None:
        """The file that a name means which ld.so does not know, whatever is open."""
        means = self.names.get(name)
        return means[-1].file if means and means[-1].soname != name else None


def make(stack: str) -> str:
    """Has the command make the plan of a stack, for a process like this one. It loads no MPI."""
    command: list[str | Path] = [_FOLDER / "dlcast", "layers", "plan", "--object", _FOLDER / "libdlcast.so"]
    command += ["--program", os.path.realpath("/proc/self/exe")]
    for folder in sys.path:
        # That of a runtime's standard library is in the runtime, and stands before everything else.
        if os.path.basename(folder) in ("site-packages", "dist-packages"):
            command += ["--path", folder]
    try:
        # With close_fds, Python would fork; some interconnects do not survive that.
        done = subprocess.run(
            [*command, "--", stack], stdin=subprocess.DEVNULL, capture_output=True, close_fds=False
        )
    except (OSError, ValueError) as error:
        raise LayersError(f"the dlcast command cannot be started: {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().removeprefix("dlcast: ")
        raise LayersError(said or f"the dlcast command ended with {done.returncode} and said nothing")
    return done.stdout.decode()
