"""The heat equation on all ranks, by a plugin that rank 0 alone has named: run by `scripts/demo`.

usage: mpirun -n 4 python -m mpi4py examples/heat.py libheat_rust.so libheat_cpp.so PICTURE

Each rank holds a block of rows and swaps its border rows with its neighbours; the plugin computes. Rank 0
then computes the whole domain with another plugin, in another language: every bit must be the same.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from typing import NamedTuple

import dlcast
import numpy
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size

HEIGHT, WIDTH = 150, 240
RATE = 0.24
# After how many steps the picture shows the domain.
SHOWN = (0, 60, 600)
STEPS = SHOWN[-1]

# From cold to hot: where a colour stands, and its red, green and blue.
COLOURS = (
    (0.00, (8, 8, 32)),
    (0.15, (56, 16, 104)),
    (0.35, (160, 32, 96)),
    (0.55, (232, 80, 48)),
    (0.75, (252, 172, 44)),
    (1.00, (255, 252, 220)),
)


class Solver(NamedTuple):
    """The tasks of a plugin; a block is an array with a halo row above and one below."""

    init: Callable[..., None]
    step: Callable[..., float]
    total: Callable[..., float]


def say(text: str) -> None:
    """One voice for what is the same on every rank."""
    if rank == 0:
        print(text, flush=True)


def load_what_rank_0_names(argument: int) -> None:
    """Rank 0 opens a library as it likes; nobody else looks at its path."""
    with dlcast.record():
        if rank == 0:
            ctypes.CDLL(sys.argv[argument])
    report = dlcast.sync()
    (library,) = report.committed
    assert library.ranks == (0,)
    name = os.path.basename(library.name)
    say(f"   sync: {name} committed on all {size} ranks, asked for by rank {library.ranks[0]}")


def own_rows() -> tuple[int, int]:
    """The first row of this rank's block, and how many there are; blocks differ by one row at most."""
    first = HEIGHT * rank // size
    return first, HEIGHT * (rank + 1) // size - first


def exchange(cells: numpy.ndarray) -> None:
    """Fills the halo rows: with the neighbours' nearest rows, and without a neighbour with the own."""
    above = rank - 1 if rank > 0 else MPI.PROC_NULL
    below = rank + 1 if rank < size - 1 else MPI.PROC_NULL
    insulate(cells)
    comm.Sendrecv(cells[1], above, recvbuf=cells[-1], source=below)
    comm.Sendrecv(cells[-2], below, recvbuf=cells[0], source=above)


def insulate(cells: numpy.ndarray) -> None:
    """Fills the halo rows so that nothing flows out."""
    cells[0], cells[-1] = cells[1], cells[-2]


def run(
    solver: Solver, first: int, rows: int, fill_halo: Callable[[numpy.ndarray], None]
) -> tuple[list[numpy.ndarray], float]:
    """The block after each number of steps in SHOWN, and the largest change in the last step."""
    cells, after = numpy.zeros((2, rows + 2, WIDTH))
    solver.init(cells, rows, WIDTH, first, HEIGHT)
    shown, change = [cells[1:-1].copy()], 0.0
    for step in range(1, STEPS + 1):
        fill_halo(cells)
        change = solver.step(cells, after, rows, WIDTH, RATE)
        cells, after = after, cells
        if step in SHOWN:
            shown.append(cells[1:-1].copy())
    return shown, change


def paint(domains: list[numpy.ndarray], path: str) -> None:
    """Draws the domains side by side, with ticks where the blocks of two ranks meet."""
    from PIL import Image, ImageDraw

    scale, gap = 2, 16
    width = WIDTH * scale + gap
    picture = Image.new("RGB", (len(domains) * width + gap, HEIGHT * scale + 2 * gap), "white")
    places, colours = zip(*COLOURS, strict=True)
    for number, domain in enumerate(domains):
        channels = [numpy.interp(domain, places, channel) for channel in zip(*colours, strict=True)]
        pixels = numpy.stack(channels, axis=-1).round().astype(numpy.uint8)
        panel = Image.fromarray(pixels).resize((WIDTH * scale, HEIGHT * scale), Image.Resampling.NEAREST)
        picture.paste(panel, (gap + number * width, gap))
        for other in range(1, size):
            y = gap + HEIGHT * other // size * scale
            ImageDraw.Draw(picture).line((number * width + 4, y, number * width + gap - 4, y), "black", 2)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    picture.save(path)


def refusal(solver: Solver) -> str:
    """What the solver says to a time step that is too long."""
    try:
        solver.step(numpy.zeros((3, 1)), numpy.zeros((3, 1)), 1, 1, 0.3)
    except dlcast.TaskError as error:
        return str(error)
    raise AssertionError("a step that is not stable was done")


def main() -> None:
    """Step by step."""
    say("1. rank 0 alone opens a solver written in Rust; the other ranks never name it")
    load_what_rank_0_names(1)
    tasks = dlcast.tasks()["heat_rust"]
    assert len(set(comm.allgather(tasks["step"].id))) == 1
    say(f"   every rank has {tasks['step']!r}")

    say("2. rank 0 sends its tasks as CodeRefs in an MPI message; every rank calls what came")
    code = [dlcast.CodeRef.of(tasks[name]) for name in Solver._fields] if rank == 0 else None
    code = comm.bcast(code)
    solver = Solver(*[reference.resolve() for reference in code])
    say(f"   step came as {code[1]!r}")
    said = refusal(solver)
    assert "0.3" in said
    say(f"   what a task refuses is an exception: {said}")

    first, rows = own_rows()
    parts = comm.gather(rows)
    say(f"3. {STEPS} steps on {HEIGHT} x {WIDTH} cells; blocks of {parts} rows swap their border rows")
    shown, change = run(solver, first, rows, exchange)
    change = comm.allreduce(change, MPI.MAX)
    gathered = [comm.gather(block) for block in shown]
    say(f"   the last step changed no cell by more than {change:.2e}")

    say("4. rank 0 computes the whole domain alone, with a solver written in C++ that has the same tasks")
    load_what_rank_0_names(2)
    if rank == 0:
        tasks = dlcast.tasks()["heat_cpp"]
        other = Solver(*[tasks[name] for name in Solver._fields])
        alone, its_change = run(other, 0, HEIGHT, insulate)
        domains = [numpy.concatenate(blocks) for blocks in gathered]
        assert all(map(numpy.array_equal, domains, alone))
        assert its_change == change
        say(f"   every bit is the same, after {', '.join(map(str, SHOWN))} steps")
        # A halo row above and one below, of any content.
        heat = [other.total(numpy.pad(domain, ((1, 1), (0, 0))), HEIGHT, WIDTH) for domain in domains]
        assert abs(heat[-1] - heat[0]) < 1e-9 * heat[0]
        say(f"   all heat is still there: {heat[0]:.6f} at first, {heat[-1]:.6f} at last")
        paint(domains, sys.argv[3])
        say(f"   the picture: {os.path.relpath(sys.argv[3])}")
    comm.barrier()
    say(f"done: {size} ranks computed what one computes")


if __name__ == "__main__":
    main()
