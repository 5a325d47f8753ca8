"""An exception on one rank, while the others wait for it, ends the job."""

from here import rank

import dlcast

dlcast.attach()
if rank == 1:
    raise RuntimeError("rank 1 has had enough")
dlcast.import_global("good")
