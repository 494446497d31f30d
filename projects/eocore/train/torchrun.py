"""torchrun, whose own report on processes that failed is one line, and only where they could not say themselves what happened.

    python -m eocore.train.torchrun --nproc-per-node 2 tools/train.py CONFIG

torch's report is a trace of the launcher and a table of exit codes, printed after the message of the rank that failed.
"""

import logging
import os
import signal
import sys
from collections.abc import Mapping

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

REPORTER = "torch.distributed.elastic.multiprocessing.api"
"""The logger that tells which process was sent which signal, and which one failed first."""
AGENT = "torch.distributed.elastic.agent.server.api"
"""The logger that warns of a signal, which is said here."""
PATIENCE, PATIENCE_S = "TORCH_ELASTIC_SHUTDOWN_TIMEOUT", 900
"""How long processes that were told to stop may take before they are killed [s]: a step and a save of a large model, where torch gives 30.
"""
SENT_BY_TORCHRUN = (signal.SIGTERM, signal.SIGKILL)
"""Signals with which torchrun ends the processes that are left when one has failed; SIGKILL where they do not heed the other."""


def main() -> int:
    """Runs torchrun; 0 where all processes ended with 0, else 1."""
    logging.getLogger(REPORTER).setLevel(logging.CRITICAL)
    logging.getLogger(AGENT).setLevel(logging.ERROR)
    os.environ.setdefault(PATIENCE, str(PATIENCE_S))
    try:
        run.main()
    except ChildFailedError as error:
        line = describe_deaths(error.failures)
        if line:
            sys.stderr.write(f"{line}\n")
        return 1
    except SignalException as error:
        sys.stderr.write(
            f"torchrun was told to stop ({error.sigval.name}) and has passed it on. What the processes say of it stands above; a training "
            "that had begun also left status.json in its folder.\n"
        )
        return 1
    return 0


def describe_deaths(failures: Mapping[int, ProcessFailure]) -> str:
    """Which processes a signal ended that torchrun did not send, in one line; empty where all that failed said why."""
    first = min(failures.values(), key=lambda failure: failure.timestamp)
    killed = {
        rank: signal.Signals(-failure.exitcode)
        for rank, failure in sorted(failures.items())
        if failure.exitcode < 0 and (failure is first or -failure.exitcode not in SENT_BY_TORCHRUN)
    }
    if not killed:
        return ""
    named = ", ".join(f"rank {rank} (process {failures[rank].pid}) by {number.name}" for rank, number in killed.items())
    hint = " SIGKILL is what the system sends where the machine is out of memory: see dmesg." if signal.SIGKILL in killed.values() else ""
    return f"Ended by a signal: {named}. Its own last words are above, if there are any; a training's status.json has the reason.{hint}"


if __name__ == "__main__":
    sys.exit(main())
