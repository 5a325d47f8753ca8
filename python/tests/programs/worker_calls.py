"""A caller in C registers Python code: the worker's thread calls it, once."""

import threading

from here import rank, tell

import dlcast
from dlcast._native import native

runs = []


def note(payload, tag):
    runs.append([payload.decode(), tag, threading.current_thread().name])
    if tag == 2 and rank == 1:
        raise KeyError("two")
    if tag == 3:
        dlcast.register_global(note, b"in turn", 4)


library = native()
session = dlcast.attach()
code = dlcast.CodeRef.of(note, b"own").to_bytes()


def register_from_c(tag):
    return library.lib.dlcast_register_code(session._handle, code, len(code), b"", 0, tag, 20.0)


with dlcast.serve_imports():
    statuses = [register_from_c(tag) for tag in (1, 1, 2, 3)]
tell(statuses=statuses, runs=runs)
