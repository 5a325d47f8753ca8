"""Rank 1 finds another file by that name, which cannot be imported: all fail; a good module works then."""

import sys
from pathlib import Path

from here import failure_of, rank, tell

import dlcast

folder = sys.argv[1]
name = sys.argv[2]
if rank == 1:
    sys.path.insert(0, str(Path(folder, "one")))
    if sys.argv[3:] == ["none"]:
        sys.modules[name] = None
error = failure_of(lambda: dlcast.import_global(name))
dlcast.import_global("good")
tell(
    failing=[f.rank for f in error.failures],
    message=error.failures[0].message,
    traceback=error.failures[0].traceback,
    gone=sys.modules.get(name) is None,
    still_none=name in sys.modules,
)
