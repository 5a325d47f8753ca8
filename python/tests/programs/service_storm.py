"""Any thread asks for anything, while the main threads pass messages. Arguments: how often, libraries."""

import random
import sys
import threading

from here import comm, rank, size, tell

import dlcast

total, libraries = int(sys.argv[1]), sys.argv[2:]
dlcast.attach(mode="service", timeout=60)
dice = random.Random(rank)
# Of each of two threads.
share = -(-total // (2 * size))
errors = []


def ask(seed, count):
    dice = random.Random(seed)
    try:
        for _ in range(count):
            what = dice.random()
            if what < 0.6:
                name = f"storm{dice.randrange(40)}"
                assert dlcast.import_global(name).__name__ == name
            elif what < 0.9:
                assert dlcast.load_global(dice.choice(libraries)).answer() == 42
            else:
                dlcast.attach().import_global(f"storm{dice.randrange(40)}", block=False).result(60)
    except Exception as error:
        errors.append(repr(error))


threads = [threading.Thread(target=ask, args=(100 * rank + number, share)) for number in range(2)]
for thread in threads:
    thread.start()
laps = wrong = 0
going = True
while going:
    # The data are checked, and all go on until none has anything to ask.
    there = comm.sendrecv((rank, laps), dest=(rank + 1) % size, source=(rank - 1) % size)
    wrong += there != ((rank - 1) % size, laps)
    laps += 1
    going = comm.allreduce(int(any(thread.is_alive() for thread in threads))) > 0
comm.Barrier()
tell(
    errors=errors,
    wrong=wrong,
    laps=laps,
    runs=sys.modules["counter"].runs,
    has=sorted(name for name in sys.modules if name.startswith("storm")),
)
