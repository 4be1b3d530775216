"""Processes that say what a test wants of them and then end as it wants."""

import sys
from collections.abc import Sequence

from embedstack.jobs.events import Event
from support.job_events import as_line

PROGRAM = """
import os, signal, sys
def stop(number, frame):
    print('{"event":"ended","done":0,"lost":0,"error":"asked","code":"stopped","exit_code":143}', flush=True)
    os._exit(143)
signal.signal(signal.SIGTERM, stop)
for step in sys.argv[1:]:
    if step.startswith("kill:"):
        os.kill(os.getpid(), int(step[5:]))
    elif step.startswith("exit:"):
        os._exit(int(step[5:]))
    elif step.startswith("half:"):
        sys.stdout.write(step[5:]); sys.stdout.flush()
    elif step.startswith("error:"):
        print(step[6:], file=sys.stderr, flush=True)
    elif step.startswith("long:"):
        print("x" * int(step[5:]), file=sys.stderr, flush=True)
    elif step == "wait":
        sys.stdin.read()
    else:
        print(step, flush=True)
"""
ENDED = '{"event":"ended","done":1,"lost":0}'
KILLED = "kill:9"


def child(*steps: Event | str) -> Sequence[str]:
    """A command line: each step is an event, a line, or one of the words above."""
    words = [step if isinstance(step, str) else as_line(step) for step in steps]
    return [sys.executable, "-I", "-S", "-c", PROGRAM, *words]
