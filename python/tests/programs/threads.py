"""Threads of one rank that call at once, from the first use on, are served one after another."""

import sys
import threading

from here import tell

import dlcast

if sys.argv[1:] == ["attached"]:
    dlcast.attach()
names = [f"threaded{number}" for number in range(4)]
errors = []


def ask(name):
    try:
        assert dlcast.import_global(name) is sys.modules[name]
    except BaseException as error:
        errors.append(repr(error))


threads = [threading.Thread(target=ask, args=(name,)) for name in names]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
tell(errors=errors, have=all(name in sys.modules for name in names))
