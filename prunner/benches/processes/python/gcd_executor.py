"""The greatest common divisors of four pairs. Arguments: WORKERS, 0 for a plain loop. Prints seconds,
CPU seconds and the sum of the divisors. The pool's start is within the clock, as prunner's is.
"""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from clock import Clock

PAIRS = [(1963309, 2265973), (2030677, 3814172), (1551645, 2229620), (2039045, 2020802)]


def gcd(pair):
    a, b = pair
    low = min(a, b)
    for i in range(low, 0, -1):
        if a % i == 0 and b % i == 0:
            return i


def main():
    workers = int(sys.argv[1])
    clock = Clock()
    if workers == 0:
        total = sum(map(gcd, PAIRS))
    else:
        fork = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(workers, mp_context=fork) as executor:
            total = sum(executor.map(gcd, PAIRS))
    clock.stop()
    clock.tell(total)


if __name__ == "__main__":
    main()
