"""What all tests share: the folder of reference material, random numbers, the rules for what is missing, and the budgets of time."""

import gc
import os
import random
import resource
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from missing_packages import pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401  (hooks)
from time_budgets import pytest_terminal_summary  # noqa: F401  (a hook)

WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // WORKERS, 1)))
"""Workers with more threads together than there are cores wait for each other. torch reads it when it is imported."""
ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
PROCESS_GROUP = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real tiles, a reference model and golden predictions beside the repository; the test skips without it."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference material in ../shared, which is not there")
    return SHARED


@pytest.fixture
def command(repo_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs tools/NAME.py in this process: status, and what it printed."""

    def run(name: str, *arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(repo_root / "tools" / f"{name}.py"), run_name="__main__")
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return run


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For tests that compare bits: a sum that threads share is cut where their number says, and a busy machine may lend fewer."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def limit_file_size() -> Iterator[Callable[[int | None], None]]:
    """Sets the size [bytes] beyond which no file of this process may grow: writing more fails as on a full disk. None lifts it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int | None) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before[0] if size is None else size, before[1]))

    yield limit
    limit(None)


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=lambda mask: f"umask-{mask:03o}")
def default_mode(request: pytest.FixtureRequest) -> Iterator[int]:
    """The permissions that new files get under the umask of the test."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


@pytest.fixture(autouse=True)
def _plain_linear() -> Iterator[None]:
    """A ZeRO-3 engine replaces `torch.nn.functional.linear` for its whole process; the replacement keeps more for backward."""
    import torch

    linear = torch.nn.functional.linear
    yield
    torch.nn.functional.linear = linear


def seed_all() -> None:
    """Random numbers of a test must not depend on the tests that ran before it in its process."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup() -> None:
    """A fixture that tests share draws the same numbers, whichever test is the first to ask for it."""
    seed_all()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """A test draws the same numbers, alone or after others."""
    seed_all()


@pytest.fixture(autouse=True)
def _no_training_of_another_test() -> Iterator[None]:
    """A training inside a test leaves its log file open, which a small disk would not hold, and the variables of its process group.

    Processes that a later test starts would take these for their own, and meet at a port that is in use.
    """
    yield
    for name in PROCESS_GROUP:
        os.environ.pop(name, None)
    if "eocore.log" in sys.modules:
        sys.modules["eocore.log"].close_log_files()


def pytest_collection_finish() -> None:
    """What is imported and collected by then stays to the end: a search for garbage need not look at it, and takes a moment."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests marked `gpu` where there is no GPU."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and there is none"))
