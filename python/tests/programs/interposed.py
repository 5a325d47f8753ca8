"""Plugins with functions of the same names, loaded with RTLD_GLOBAL: what the tasks of each give."""

import ctypes
import sys

from here import tell

import dlcast

for path in sys.argv[1:]:
    dlcast.load_global(path, ctypes.RTLD_GLOBAL)
tasks = dlcast.tasks()
names = ("kernel", "exported", "hidden")
tell(values=[[tasks[plugin][name]() for name in names] for plugin in tasks])
