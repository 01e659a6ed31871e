"""A program whose child has a child; each says which process it takes for the first of the family."""

import multiprocessing
import sys

from exporter.store import family

# Said while a spawned child imports its parent's main module, too.
print(family.root().pid, flush=True)


def child(method, depth):
    print(family.root().pid, flush=True)
    if depth:
        process = multiprocessing.get_context(method).Process(target=child, args=(method, depth - 1))
        process.start()
        process.join()


if __name__ == "__main__":
    child(sys.argv[1], 2)
