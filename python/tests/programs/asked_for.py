"""What a plugin asked for is unloaded by itself: loading the asker again does not bring it back."""

import sys

from here import tell

import dlcast

asker, asked = sys.argv[1:]
plugins = []
for step in (
    lambda: dlcast.load_global(asker),
    lambda: dlcast.unload_global(asked),
    lambda: dlcast.load_global(asker),
    lambda: dlcast.load_global(asked),
):
    step()
    plugins.append(sorted(dlcast.tasks()))
tell(plugins=plugins)
