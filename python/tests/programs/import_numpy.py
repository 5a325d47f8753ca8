"""Every rank has numpy after every rank asked for it."""

import sys

from here import tell

import dlcast

numpy = dlcast.import_global("numpy")
assert numpy is sys.modules["numpy"]
tell(total=int(numpy.arange(4).sum()))
