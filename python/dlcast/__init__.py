"""A dlopen that reaches every rank of an MPI job: the Python face of dlcast.

Importing this package loads neither MPI nor libdlcast.so. Both come at first use, so that the program's own
MPI is there first.
"""

from dlcast._errors import GlobalImportError, GlobalLoadError, RankFailure, SessionError, SessionTimeout
from dlcast._future import Future
from dlcast._record import record
from dlcast._report import SyncReport
from dlcast._session import Session, attach, import_global, load_global, sync
from dlcast._worker import serve_imports

__version__ = "0.1.0"

__all__ = [
    "Future",
    "GlobalImportError",
    "GlobalLoadError",
    "RankFailure",
    "Session",
    "SessionError",
    "SessionTimeout",
    "SyncReport",
    "__version__",
    "attach",
    "import_global",
    "load_global",
    "record",
    "serve_imports",
    "sync",
]
