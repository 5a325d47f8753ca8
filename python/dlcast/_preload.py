"""What `dlcast run --import` has the Python of an unmodified program do, soon after MPI is up there."""

from __future__ import annotations

from dlcast import _worker


def start() -> None:
    """Lets this process take part in imports that ranks ask for.

    The interpreter calls it between two instructions of the main thread, wherever that is: nothing waits.
    """
    _worker.service.start()
