"""What rank 0 registers in a block, and in the body of a module, runs on every rank in the next round."""

from here import rank, tell

import dlcast

runs = []


def note(payload, tag):
    runs.append(payload.decode())


session = dlcast.attach()
if rank == 0:
    with dlcast.record():
        assert dlcast.register_global(note, b"in a block") is None
        session.register_global(note, b"by the session")
    try:
        with session.record():
            dlcast.register_global(note, b"in a block that failed")
            dlcast.register_global(lambda payload, tag: None)
    except ValueError:
        runs.append("refused")
    import registers  # noqa: F401
report = session.sync()
tell(
    runs=runs,
    report=[[str(item), list(item.ranks)] for item in report.committed],
)
