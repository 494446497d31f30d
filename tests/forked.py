"""Python programs in processes of their own that have what they need imported already: a start takes a fraction of a second, not ten.

They are forked from a server, as `multiprocessing` has it; the server imports once for all tests of this process. A fork of the test's own
process would inherit the threads of whatever ran before. Where imports, or what is installed, is itself what is tested, and for commands
that are no Python program, `subprocess` starts them.
"""

import gc
import multiprocessing
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from subprocess import CompletedProcess

IMPORTED = (
    "pytest",
    "torch",
    "torch.distributed.run",
    "transformers",
    "eocore.train.launch",
    "eocore.evaluate.engine.benchmark_run",
    "eocore.evaluate.engine.config_run",
    "eocore.synthetic.test_sets.catalogue",
    "eocore.export.convert",
    "earthmind.task",
    "earthmind.export",
    "earthmind.predictor",
)
STREAMS = (("in", os.O_RDONLY), ("out", os.O_WRONLY | os.O_CREAT | os.O_APPEND), ("err", os.O_WRONLY | os.O_CREAT | os.O_APPEND))


def context() -> ForkServerContext:
    """The server of this process. Every test takes it from here: what it imports is settled by who asks first."""
    from eocore.train.device import set_deepspeed_accelerator

    set_deepspeed_accelerator()
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(list(IMPORTED))
    return found


def run(
    command: Sequence[str | Path], *, cwd: Path, environment: Mapping[str, str] | None = None, given: str = "", timeout_s: float = 300
) -> CompletedProcess[str]:
    """What `python COMMAND...` does and prints.

    Args:
        command: the program's file, "-m" and a module, or "-c" and code; then its arguments.
        cwd: folder in which it runs.
        environment: all of its variables; default: those of this process.
        given: what it reads from its standard input.
        timeout_s: after which it is killed; its exit code is then -9.
    """
    (done,) = run_together([command], cwd=cwd, environments=[environment or os.environ], given=given, timeout_s=timeout_s)
    return done


def run_ranks(
    command: Sequence[str | Path],
    *,
    ranks: int,
    cwd: Path,
    port: int,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 600,
) -> list[CompletedProcess[str]]:
    """The same as a group of ranks without torchrun, each on one thread and without a GPU; `environment` on top of this process's."""
    common = {
        **(environment or {}),
        "WORLD_SIZE": ranks,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": 1,
        "CUDA_VISIBLE_DEVICES": "",
    }
    environments = [
        os.environ | {name: str(value) for name, value in (common | {"RANK": rank, "LOCAL_RANK": rank}).items()} for rank in range(ranks)
    ]
    return run_together([command] * ranks, cwd=cwd, environments=environments, timeout_s=timeout_s)


def run_together(
    commands: Sequence[Sequence[str | Path]], *, cwd: Path, environments: Sequence[Mapping[str, str]], given: str = "", timeout_s: float
) -> list[CompletedProcess[str]]:
    """Several programs at once, each with its variables."""
    deadline = time.monotonic() + timeout_s
    with tempfile.TemporaryDirectory() as folder:
        started = [
            _start([str(word) for word in command], cwd, dict(variables), _streams(Path(folder) / str(number), given))
            for number, (command, variables) in enumerate(zip(commands, environments, strict=True))
        ]
        for process in started:
            process.join(max(deadline - time.monotonic(), 0.1))
            if process.is_alive():
                process.kill()
                process.join()
        texts = [[(Path(folder) / str(number) / name).read_text() for name in ("out", "err")] for number in range(len(started))]
    return [
        CompletedProcess(list(command), -1 if process.exitcode is None else process.exitcode, *text)
        for command, process, text in zip(commands, started, texts, strict=True)
    ]


def _streams(folder: Path, given: str) -> Path:
    folder.mkdir()
    (folder / "in").write_text(given)
    return folder


def _start(words: list[str], cwd: Path, variables: dict[str, str], streams: Path) -> ForkServerProcess:
    process = context().Process(target=_main, args=(words, str(cwd), variables, str(streams)))
    process.start()
    return process


def _main(words: list[str], cwd: str, variables: dict[str, str], streams: str) -> None:
    """The program, in its process."""
    import torch

    gc.freeze()  # what the server has imported stays
    for number, (name, how) in enumerate(STREAMS):
        os.dup2(os.open(Path(streams) / name, how), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  (multiprocessing has closed the one there was)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    torch.set_num_threads(int(variables.get("OMP_NUM_THREADS", 1)))
    own = cwd if words[0] in ("-m", "-c") else str(Path(words[0]).resolve().parent)
    sys.path[:0] = [own, *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    elif words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
