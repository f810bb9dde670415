"""sum_up with a ProcessPoolExecutor. Arguments: NUMBERS WORKERS. Prints the sum.

A task of an executor cannot submit another one: a worker has no way to the executor. So every stage
hands its result back, and a callback of its future submits the next stage from the parent. That is
the program of prunner.py as an executor can run it, and the quickest of several ways to do so:

* callbacks instead of a loop over `as_completed`, which builds a set and a waiter for every future
  and costs half as much again;
* "fork", which starts a process in about a millisecond, and before there are any threads;
* the sum is added up in the parent, from the results: a shared value would be locked for each.

What is quicker is another program: see sum_up_stages.py.
"""

import multiprocessing
import sys
import threading
from concurrent.futures import ProcessPoolExecutor


def init(numbers):
    return range(numbers)


def add_one(n):
    return n + 1


def double(n):
    return n


def sum_up(n):
    return n


class Run:
    def __init__(self, executor):
        self.executor = executor
        self.sum = 0
        self.open = 0
        self.done = threading.Event()
        # Callbacks run on the executor's thread; the first task is submitted from the main one.
        self.lock = threading.Lock()

    def submit(self, function, argument, then):
        with self.lock:
            self.open += 1
        self.executor.submit(function, argument).add_done_callback(then)

    def finish(self):
        with self.lock:
            self.open -= 1
            if self.open == 0:
                self.done.set()

    def after_init(self, future):
        for n in future.result():
            self.submit(add_one, n, self.after_add_one)
        self.finish()

    def after_add_one(self, future):
        self.submit(double, future.result(), self.after_double)
        self.finish()

    def after_double(self, future):
        n = future.result()
        self.submit(sum_up, n, self.after_sum_up)
        self.submit(sum_up, n, self.after_sum_up)
        self.finish()

    def after_sum_up(self, future):
        self.sum += future.result()
        self.finish()


def main():
    numbers, workers = int(sys.argv[1]), int(sys.argv[2])
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=fork) as executor:
        run = Run(executor)
        run.submit(init, numbers, run.after_init)
        run.done.wait()
    print(run.sum)


if __name__ == "__main__":
    main()
