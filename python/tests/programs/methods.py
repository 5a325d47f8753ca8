"""Methods that rank 3 names are found on every rank, which imports their module on the fly."""

import pickle
import sys

from here import comm, rank, tell

import dlcast

codes = None
if rank == 3:
    from shapes import Shape

    found = [Shape.Part.area, Shape.Square.create, Shape, Shape.__dict__["Part"].__dict__["area"]]
    codes = [dlcast.CodeRef.of(found[0], b"3", "(text)")] + [dlcast.CodeRef.of(code) for code in found[1:]]
codes = comm.bcast(codes, root=3)
before = "shapes" in sys.modules
area, create, shape, raw = codes
called = [code.resolve()(code.payload or b"4", 0) for code in codes]
try:
    area.resolve(signature="(number)")
except ValueError as error:
    wrong = str(error)
dlcast.register_global(area)
dlcast.register_global(create, b"5", 1)
same = [area == pickle.loads(pickle.dumps(area)), area == create, len({area, create, raw, area}), area == raw]
tell(
    before=before,
    called=[str(value) for value in called],
    wrong=wrong,
    runs=sys.modules["shapes"].runs[len(called) :],
    same=same,
    repr=repr(area),
)
