"""The steps of a call through a ProcessPoolExecutor, by themselves, in ns a call: `NAME NS` a line.
They are those of its source: a call item is pickled and written to a pipe, read and unpickled by a
worker, run, and its result goes the same way back. `whole` is a call that does nothing, of many that
were submitted together, on one process; `alone` one whose result is waited for before the next.
"""

import multiprocessing
import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import _CallItem, _ResultItem
from multiprocessing import Pipe
from multiprocessing.reduction import ForkingPickler
from subprocess import run as run_program
from sys import executable

from sum_up_executor import add_one

TIMES = 20_000
ROUNDS = 7


def tell(name, step, times=TIMES):
    def measure():
        start = time.perf_counter_ns()
        for _ in range(times):
            step()
        return (time.perf_counter_ns() - start) / times

    print(name, sorted(measure() for _ in range(ROUNDS))[ROUNDS // 2])


def main():
    call = _CallItem(7, add_one, (7,), {})
    result = _ResultItem(7, result=8, exit_pid=None)
    call_bytes = bytes(ForkingPickler.dumps(call))
    result_bytes = bytes(ForkingPickler.dumps(result))
    reader, writer = Pipe(duplex=False)

    def pipe(data):
        writer.send_bytes(data)
        reader.recv_bytes()

    tell("pickle_call", lambda: ForkingPickler.dumps(call))
    tell("pipe_call", lambda: pipe(call_bytes))
    tell("unpickle_call", lambda: pickle.loads(call_bytes))
    tell("run", lambda: call.fn(*call.args, **call.kwargs))
    tell("pickle_result", lambda: ForkingPickler.dumps(result))
    tell("pipe_result", lambda: pipe(result_bytes))
    tell("unpickle_result", lambda: pickle.loads(result_bytes))
    tell("import", lambda: run_program([executable, "-c", "import concurrent.futures.process"]), 3)

    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=fork) as executor:
        executor.submit(add_one, 1).result()

        def whole():
            futures = [executor.submit(add_one, n) for n in range(5_000)]
            for future in futures:
                future.result()

        start = time.perf_counter_ns()
        whole()
        print("whole", (time.perf_counter_ns() - start) / 5_000)
        tell("alone", lambda: executor.submit(add_one, 1).result(), 1_000)

    def process():
        process = fork.Process(target=int)
        process.start()
        process.join()

    tell("process", process, 20)


if __name__ == "__main__":
    main()
