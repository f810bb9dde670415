"""Maps an empty function over a range with Pool.imap_unordered. Arguments: TASKS WORKERS CHUNKSIZE.
Prints seconds, CPU seconds and the number of results. The pool is there, and every process has run
something, before the clock starts; it ends its processes within it, because only then is their CPU
time known.
"""

import multiprocessing
import sys
import time

from clock import Clock


def nothing(n):
    return None


def main():
    tasks, workers, chunk = map(int, sys.argv[1:4])
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        pool.map(time.sleep, [0.02] * workers, chunksize=1)
        clock = Clock()
        results = sum(1 for _ in pool.imap_unordered(nothing, range(tasks), chunksize=chunk))
        pool.close()
        pool.join()
        clock.stop()
    clock.tell(results)


if __name__ == "__main__":
    main()
