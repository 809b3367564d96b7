"""Runs one of programs/ when asked; answers with CPU time, or with the program's result.
usage: workload_program.py NAME    See workload.serve."""

import gc
import importlib
import os
import sys
import time

import workload

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs"))


def main():
    program = importlib.import_module(workload.start()[0])
    results = set()

    def measure(what):
        if what == "result":
            return "; ".join(results)
        gc.collect()
        start = time.process_time()
        result = program.run()
        taken = time.process_time() - start
        results.add(result)
        return taken

    workload.serve(measure)


main()
