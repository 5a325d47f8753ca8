"""Rank 1 gives timeouts that are none: it alone is told, and the others do not wait for it."""

from here import rank, tell

import dlcast

caught = []
for timeout in [float("nan"), -1, 0, "5", 1 << 1100]:
    try:
        dlcast.import_global("good", timeout=timeout if rank == 1 else 10)
    except (TypeError, ValueError, OverflowError) as error:
        caught.append(type(error).__name__)
try:
    dlcast.load_global("libz.so.1", 1 << 40 if rank == 1 else 0)
except ValueError as error:
    caught.append(type(error).__name__)
tell(caught=caught)
