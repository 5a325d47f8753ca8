"""What a round came to, as values: read from the report that the library gives as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dlcast._errors import RankFailure


@dataclass(frozen=True, slots=True)
class Committed:
    """A request that succeeded on every rank."""

    kind: str
    """"library", "module", "callback", or "unload" for a library whose tasks were taken away."""
    name: str
    path: str | None
    """Of a library, on this rank."""
    identity: str | None
    ranks: tuple[int, ...]
    """Who asked."""

    def __str__(self) -> str:
        """Names what is now everywhere."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Undone:
    """A request that failed on some rank, and was undone on all."""

    kind: str
    """"library", "module", "callback", "unload", or "call" for a call with a bad argument."""
    name: str
    error: str
    """What failed where; equal failures are folded over their ranks."""
    failures: tuple[RankFailure, ...]

    def __str__(self) -> str:
        """The error, then each traceback once."""
        return "\n".join([self.error, *_tracebacks(self.failures)])


@dataclass(frozen=True, slots=True)
class Copies:
    """One library of which a rank has two copies open, each with its own state."""

    name: str
    rank: int
    host: str
    paths: tuple[str, ...]

    def __str__(self) -> str:
        """Names both files."""
        return f"{self.name} is open twice on rank {self.rank} ({self.host}): {', '.join(self.paths)}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A module or callback that some ranks have left out, because their processes run no Python."""

    kind: str
    """"module" or "callback"."""
    name: str
    ranks: tuple[int, ...]
    hosts: tuple[str, ...]
    """Of each of these ranks."""

    def __str__(self) -> str:
        """Names it, and the ranks."""
        where = ", ".join(dict.fromkeys(self.hosts))
        have = "has" if len(self.ranks) == 1 else "have"
        return (
            f"{_folded(list(self.ranks))} ({where}) {have} no Python interpreter for {self.kind} {self.name}"
        )


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What all ranks agreed on. True when nothing was undone."""

    committed: tuple[Committed, ...]
    undone: tuple[Undone, ...]
    copies: tuple[Copies, ...]
    rounds: int
    """Zero when no rank had recorded anything; more than one when what was loaded asked for more."""
    skipped: tuple[Skipped, ...] = ()

    def __bool__(self) -> bool:
        """Whether every request was committed."""
        return not self.undone

    def __str__(self) -> str:
        """A line for what is everywhere, then what is not and why."""
        lines = ["committed: " + (", ".join(map(str, self.committed)) or "nothing")]
        lines += [str(item) for item in (*self.undone, *self.copies, *self.skipped)]
        return "\n".join(lines)


def sync_report(report: dict[str, Any]) -> SyncReport:
    """The values of a report."""
    return SyncReport(
        committed=tuple(
            Committed(
                kind=item["kind"],
                name=item["name"],
                path=item.get("path"),
                identity=item.get("identity"),
                ranks=tuple(item["ranks"]),
            )
            for item in report["committed"]
        ),
        undone=tuple(undone(item) for item in report["undone"]),
        copies=tuple(
            Copies(name=item["name"], rank=item["rank"], host=item["host"], paths=tuple(item["paths"]))
            for item in report["copies"]
        ),
        rounds=report["rounds"],
        skipped=skipped(report),
    )


def skipped(report: dict[str, Any]) -> tuple[Skipped, ...]:
    """The value of a report's "skipped"."""
    return tuple(
        Skipped(item["kind"], item["name"], tuple(item["ranks"]), tuple(item["hosts"]))
        for item in report.get("skipped", ())
    )


def undone(item: dict[str, Any]) -> Undone:
    """The value of one entry of a report's "undone": its groups of equal failures, a rank each."""
    failures = [
        RankFailure(rank, host, group["phase"], group["message"], group.get("traceback"))
        for group in item["failures"]
        for rank, host in zip(group["ranks"], group["hosts"], strict=True)
    ]
    failures.sort(key=lambda failure: failure.rank)
    return Undone(kind=item["kind"], name=item["name"], error=item["error"], failures=tuple(failures))


def _tracebacks(failures: Iterable[RankFailure]) -> list[str]:
    ranks_of: dict[str, list[int]] = {}
    for failure in failures:
        # Without a frame of the program it says no more than the message.
        if failure.traceback and failure.traceback != failure.message:
            ranks_of.setdefault(failure.traceback, []).append(failure.rank)
    return [f"on {_folded(ranks)}:\n{textwrap.indent(text, '    ')}" for text, ranks in ranks_of.items()]


def _folded(ranks: list[int]) -> str:
    """The form in which the library itself names ranks: "rank 3", "ranks 3, 4, 7-9"."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][-1] + 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    parts = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ("rank " if len(ranks) == 1 else "ranks ") + ", ".join(parts)
