"""Several processes on this machine, through torchrun: what tools/dist.sh does, where there is no checkout."""

import os
import subprocess
import sys
from collections.abc import Sequence

from eocore.train.device import has_gpu


def start(words: Sequence[str], *, num_processes: int) -> int:
    """Runs a program on several processes and waits for them.

    Args:
        words: of the program, as Python takes them: a file, or `-m` and a module, and its arguments.
        num_processes: one for each GPU, or any number on a CPU, which share its cores.

    Returns:
        The exit status of torchrun: 0 where all processes ended with 0.
    """
    # output goes to the screen; without a log folder named, torchrun would leave an empty one in /tmp at every start
    torchrun = ["-m", "eocore.train.torchrun", "--standalone", "--nproc-per-node", str(num_processes), "--log-dir", os.devnull]
    process = subprocess.Popen([sys.executable, *torchrun, *words], env=environment(num_processes))
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the terminal sends it to torchrun too, which passes it on and waits until the processes have saved
            continue


def environment(num_processes: int) -> dict[str, str]:
    """This process's environment, with the cores shared among the processes where there is no GPU."""
    if has_gpu():
        return dict(os.environ)
    cores = str(max((os.cpu_count() or 1) // num_processes, 1))
    return {"OMP_NUM_THREADS": cores, "MKL_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", cores), **os.environ, "DS_ACCELERATOR": "cpu"}
