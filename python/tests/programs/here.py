"""What the programs share: who this rank is, a way to tell the test, and how to lack a module on one rank."""

import contextlib
import json
import os
import sys

from mpi4py import MPI

import dlcast

comm = MPI.COMM_WORLD
rank, size = comm.rank, comm.size


def tell(**facts):
    # One write: lines of many ranks meet in one pipe.
    os.write(1, (json.dumps({"rank": rank, **facts}) + "\n").encode())


class _Lacking:
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@contextlib.contextmanager
def lacking(*names, on):
    """These modules cannot be imported on the rank `on`."""
    finder = _Lacking(names)
    if rank == on:
        sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if rank == on:
            sys.meta_path.remove(finder)


def failure_of(call):
    """The error of a call that has to fail."""
    try:
        call()
    except (dlcast.GlobalImportError, dlcast.GlobalLoadError, dlcast.GlobalCallbackError) as error:
        return error
    raise AssertionError("nothing failed")
