"""A function of the program, registered twice by rank 1 alone or by all, runs once on every rank."""

import sys

from here import rank, size, tell

import dlcast

runs = []


def note(payload, tag):
    runs.append([payload.decode(), tag])


session = dlcast.attach(timeout=100)
for _ in range(2):
    if "all" in sys.argv or rank == 1 % size:
        session.register_global(note, b"some\0 bytes", 7)
    else:
        session.sync()
once = len(runs)
dlcast.register_global(note, memoryview(b"some\0 bytes"), tag=8)
tell(once=once, runs=runs, again=dlcast.sync().rounds)
