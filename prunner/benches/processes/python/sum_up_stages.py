"""sum_up stage by stage: each is one `map` in large chunks, and waits for the one before. Arguments:
NUMBERS WORKERS. Prints the sum.

This is not the program: no task posts another one, all workers wait for the slowest at the end of
each stage, and it only works because the stages are known before. It is what a careful author would
make of it with an executor, so it is measured, too.
"""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from sum_up_executor import add_one, double, sum_up


def main():
    numbers, workers = int(sys.argv[1]), int(sys.argv[2])
    chunk = -(-numbers // workers)
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=fork) as executor:
        ones = executor.map(add_one, range(numbers), chunksize=chunk)
        doubles = executor.map(double, ones, chunksize=chunk)
        twice = (n for n in doubles for _ in range(2))
        total = sum(executor.map(sum_up, twice, chunksize=2 * chunk))
    print(total)


if __name__ == "__main__":
    main()
