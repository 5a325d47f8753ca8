"""The main job on real input: run by `scripts/demo` as `mpirun -n 4 python -m mpi4py examples/demo.py`.

Rank 0 alone compiles and opens a C library; every rank ends with it. numpy is imported everywhere. One rank
lacks a module: every rank hears of it, and the job goes on.
"""

import ctypes
import subprocess
import sys
import tempfile
from pathlib import Path

import dlcast
from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size

SOURCE = """
static int runs;
__attribute__((constructor)) static void count(void) { runs++; }
int constructor_runs(void) { return runs; }
double heat(double left, double middle, double right) { return middle + 0.25 * (left - 2 * middle + right); }
"""


def say(text: str) -> None:
    """One voice for what is the same on every rank."""
    if rank == 0:
        print(text, flush=True)


def same(value: object) -> bool:
    """Whether every rank has this value."""
    return len(set(comm.allgather(value))) == 1


def library_of_one_rank(folder: Path) -> None:
    """One rank opens a library, as a package might do behind everybody's back."""
    say(f"1. rank 0 alone compiles a C library and opens it; the other {size - 1} ranks know nothing of it")
    with dlcast.record():
        if rank == 0:
            source = folder / "heat.c"
            source.write_text(SOURCE)
            compiled = folder / "libheat.so"
            subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", compiled, source], check=True)
            ctypes.CDLL(str(compiled), mode=ctypes.RTLD_GLOBAL)
    report = dlcast.sync()
    (library,) = report.committed
    say(f"   sync: 1 library committed on all {size} ranks, asked for by rank {library.ranks[0]}")
    # RTLD_GLOBAL, as rank 0 opened it: every rank finds its symbols in the process.
    process = ctypes.CDLL(None)
    process.heat.restype = ctypes.c_double
    process.heat.argtypes = [ctypes.c_double] * 3
    values = comm.gather(process.heat(float(rank), 1.0, 2.0))
    runs = comm.gather(process.constructor_runs())
    say(f"   every rank calls it: heat(rank, 1, 2) = {values}")
    say(f"   its constructor ran this often in each process: {runs}")
    assert not comm.bcast(runs and any(run != 1 for run in runs))


def module_everywhere() -> None:
    """A real package on every rank."""
    say('2. every rank calls dlcast.import_global("numpy") and computes with it')
    numpy = dlcast.import_global("numpy")
    part = numpy.arange(rank * 250_000, (rank + 1) * 250_000, dtype=numpy.float64)
    total = comm.allreduce(float(numpy.sqrt(part).sum()))
    say(f"   numpy {numpy.__version__} on {size} ranks: the first million square roots add up to {total:.3f}")


def failure_of_one_rank(folder: Path) -> None:
    """The same verdict on every rank, and the way on."""
    say("3. a module that rank 2 lacks: the same error on every rank, naming rank 2")
    if rank == 0:
        (folder / "fragile.py").write_text("ANSWER = 42\n")
    comm.barrier()
    if rank != 2 % size:
        sys.path.insert(0, str(folder))
    try:
        dlcast.import_global("fragile")
        said = "nothing: rank 2 cannot have imported it"
    except dlcast.GlobalImportError as error:
        said = str(error)
    assert same(said)
    assert "rank 2" in said
    say("   " + said.replace("\n", "\n   "))
    assert "fragile" not in sys.modules
    say("4. the job goes on: rank 2 finds the module now, and the second attempt succeeds")
    if rank == 2 % size:
        sys.path.insert(0, str(folder))
    answer = dlcast.import_global("fragile").ANSWER
    assert same(answer)
    say(f"   fragile.ANSWER is {answer} on all {size} ranks")


def main() -> None:
    """Step by step."""
    # A folder that every rank sees, as a shared file system would have it.
    place = tempfile.TemporaryDirectory() if rank == 0 else None
    folder = Path(comm.bcast(place.name if place else None))
    library_of_one_rank(folder)
    module_everywhere()
    failure_of_one_rank(folder)
    comm.barrier()
    if place:
        place.cleanup()
    say("done: every rank agreed at every step")


if __name__ == "__main__":
    main()
