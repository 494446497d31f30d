"""A server of tiny models with the page, and a real browser, headless."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from page_actions import PageUser
from playwright.sync_api import Browser, sync_playwright
from ports import free_port

CHROMIUM = Path("/usr/bin/chromium")
START_S = 300.0
SIZE = {"width": 1280, "height": 800}
NARROW = {"width": 420, "height": 800}


@pytest.fixture(scope="session")
def served(
    words_model: Path, masks_model: Path, dated_model: Path, vectors_model: Path, world_index: Path, report_folder: Path, base_map: Path
) -> list[str]:
    """The words behind `eo serve`: models, an index, reports."""
    models = ["--model", str(masks_model), str(words_model), str(dated_model), str(vectors_model)]
    return [*models, "--index", str(world_index), "--reports", str(report_folder), "--basemap", str(base_map), "--threads", "1"]


@pytest.fixture(scope="session")
def page_url(repo_root: Path, served: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that runs for all tests of the page."""
    folder = tmp_path_factory.mktemp("page")
    port = free_port()
    command = [sys.executable, str(repo_root / "tools" / "serve.py"), *served]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder), "PYTHONPATH": str(repo_root / "projects")}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([*command, "--port", str(port)], stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            _wait(server, f"http://127.0.0.1:{port}/", log=folder / "log")
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()
            server.wait(60)


def _wait(server: "subprocess.Popen[bytes]", url: str, *, log: Path) -> None:
    """Until the page is there."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"the server ended: {log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the server did not answer within {START_S:g} s: {log.read_text()[-3000:]}")


REFUSED_SCRIPT = "Blocked script execution in 'about:srcdoc'"
"""What Chromium notes of a report whose script the page does not let run, as is wanted."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. It ends with the module: while Playwright's loop is there, no test of the thread could run another."""
    if not CHROMIUM.is_file():
        pytest.skip(f"{CHROMIUM} is not installed: apt-get install chromium")  # a failure where CI=true
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def new_user(browser: Browser, page_url: str) -> Iterator[Callable[..., PageUser]]:
    """Makes users with a browser profile each; at the end none has seen an error, or asked another server for anything."""
    users: list[PageUser] = []

    def make(*, narrow: bool = False) -> PageUser:
        context = browser.new_context(viewport=NARROW if narrow else SIZE)
        users.append(PageUser(context, page_url))
        return users[-1]

    yield make
    for user in users:
        user.context.close()
    assert [error for user in users for error in user.errors if not error.startswith(REFUSED_SCRIPT)] == []
    assert [address for user in users for address in user.foreign] == []


@pytest.fixture
def user(new_user: Callable[..., PageUser]) -> PageUser:
    """One user, with the page open."""
    made = new_user()
    made.open()
    return made
