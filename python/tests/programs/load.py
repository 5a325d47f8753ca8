"""A library under each rank's own path is one library, and its flags are kept."""

import ctypes
import sys

from here import rank, tell

import dlcast

mode = ctypes.RTLD_GLOBAL if "global" in sys.argv else ctypes.RTLD_LOCAL
library = dlcast.load_global(sys.argv[1 + rank % 2], mode)
tell(answer=library.answer(), visible=hasattr(ctypes.CDLL(None), "answer"), path=library._name)
