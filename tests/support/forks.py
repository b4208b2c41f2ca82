"""A warm process that forks a child for each job: a child that may be killed costs milliseconds,
not torch's start.

    with Forks("tests.support.tasks") as forks:
        code = forks.run("train_small", folder="/tmp/x", kill=("after_backward", 3))

The job is a function of the named module, called with JSON arguments. `run` gives the exit
status, negative for a signal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Forks:
    def __init__(self, module: str) -> None:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        self.server = subprocess.Popen(
            [sys.executable, __file__, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd=ROOT,
        )

    def run(self, job: str, **arguments: Any) -> int:
        assert self.server.stdin and self.server.stdout
        self.server.stdin.write(json.dumps([job, arguments]) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *error: Any) -> None:
        assert self.server.stdin
        self.server.stdin.close()
        self.server.wait(60)  # on a busy machine torch takes its time to end


def serve(module: str) -> None:
    import importlib

    jobs = importlib.import_module(module)  # warm: torch is loaded, but has started no thread yet
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a child prints must not pass for an answer
    for line in sys.stdin:
        job, arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                getattr(jobs, job)(**arguments)
                status = 0
            except BaseException as err:
                print(f"{job}: {type(err).__name__}: {err}", file=sys.stderr, flush=True)
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, wait = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(wait)}\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
