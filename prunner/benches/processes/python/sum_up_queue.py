"""sum_up with processes around a JoinableQueue, as people write it by hand. Arguments: NUMBERS
WORKERS. Prints the sum.

Each worker adds up for itself and sends its sum at the end: a shared value would be locked for each.
"""

import multiprocessing
import sys

INIT, ADD_ONE, DOUBLE, SUM_UP = range(4)


def work(tasks, sums):
    total = 0
    while (task := tasks.get()) is not None:
        label, n = task
        if label == INIT:
            for i in range(n):
                tasks.put((ADD_ONE, i))
        elif label == ADD_ONE:
            tasks.put((DOUBLE, n + 1))
        elif label == DOUBLE:
            tasks.put((SUM_UP, n))
            tasks.put((SUM_UP, n))
        else:
            total += n
        tasks.task_done()
    sums.put(total)


def main():
    numbers, workers = int(sys.argv[1]), int(sys.argv[2])
    fork = multiprocessing.get_context("fork")
    tasks, sums = fork.JoinableQueue(), fork.SimpleQueue()
    tasks.put((INIT, numbers))
    processes = [fork.Process(target=work, args=(tasks, sums)) for _ in range(workers)]
    for process in processes:
        process.start()
    tasks.join()
    for _ in processes:
        tasks.put(None)
    total = sum(sums.get() for _ in processes)
    for process in processes:
        process.join()
    print(total)


if __name__ == "__main__":
    main()
