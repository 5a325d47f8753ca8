"""A module whose body asks for another one, which asks for the first: every rank has both."""

import sys

from here import tell

import dlcast

asks = dlcast.import_global("asks")
tell(inner="inner" in sys.modules, back=sys.modules["inner"].back is asks)
