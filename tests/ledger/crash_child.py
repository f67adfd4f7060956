"""Run as a script: writes calls as fast as it can until it is killed, and tells each step once it is on record.

    crash_child.py FOLDER DATABASE SEED

`a ID` follows an accept that returned, `e ID` an end that did. Without a database nothing moves the entries.
"""

import os
import random
import sys
from time import sleep

from ledger.entries import accepted, ended
from waypost.ledger.journal import Journal
from waypost.ledger.mover import Mover

NEVER_ENDED = 2  # the first calls stay open over many segments


def caught_up(mover: Mover) -> bool:
    """Waits for the mover, so that segments are dropped all the time while calls are open."""
    for _ in range(10_000):
        if mover.lag.entries < 5:
            return True
        sleep(0.0005)
    return False


def main(folder: str, database: str, seed: int) -> None:
    chance = random.Random(seed)
    journal = Journal(folder, segment_bytes=chance.choice([2_000, 40_000, 8_000_000]))
    if database:
        mover = Mover(journal, database, interval_s=0.001)
        mover.start()
    is_open: list[str] = []
    number = 0
    while True:
        if database and not caught_up(mover):
            sys.exit("the mover does not keep up")
        if len(is_open) > 8 or (len(is_open) > NEVER_ENDED and chance.random() < 0.5):
            call = is_open.pop(chance.randrange(NEVER_ENDED, len(is_open)))
            bodies = ("q" * chance.choice([10, 100_000]), None) if chance.random() < 0.05 else None
            journal.end(ended(call, bodies=bodies))
            os.write(1, b"e %s\n" % call.encode())
        else:
            call = f"{seed}-{number}"
            number += 1
            journal.accept(accepted(call))
            os.write(1, b"a %s\n" % call.encode())
            is_open.append(call)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
