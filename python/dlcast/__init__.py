"""A dlopen that reaches every rank of an MPI job: the Python face of dlcast.

Importing this package loads neither MPI nor libdlcast.so. Both come at first use, so that the program's own
MPI is there first.
"""

from dlcast._code import CodeRef
from dlcast._errors import (
    GlobalCallbackError,
    GlobalImportError,
    GlobalLoadError,
    NoInterpreterWarning,
    RankFailure,
    SessionError,
    SessionTimeout,
    TaskError,
    TaskLookupError,
)
from dlcast._future import Future
from dlcast._record import record
from dlcast._report import SyncReport
from dlcast._session import (
    Session,
    attach,
    import_global,
    leave,
    load_global,
    register_global,
    sync,
    tasks,
    unload_global,
)
from dlcast._signature import NativeFunction
from dlcast._tasks import Task, Tasks
from dlcast._worker import serve_imports

__version__ = "0.1.0"

__all__ = [
    "CodeRef",
    "Future",
    "GlobalCallbackError",
    "GlobalImportError",
    "GlobalLoadError",
    "NativeFunction",
    "NoInterpreterWarning",
    "RankFailure",
    "Session",
    "SessionError",
    "SessionTimeout",
    "SyncReport",
    "Task",
    "TaskError",
    "TaskLookupError",
    "Tasks",
    "__version__",
    "attach",
    "import_global",
    "leave",
    "load_global",
    "record",
    "register_global",
    "serve_imports",
    "sync",
    "tasks",
    "unload_global",
]
