"""What the tests of the server share."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from served_indexes import base_map, report_folder, world_index  # noqa: F401  (fixtures)
from served_models import (  # noqa: F401  (fixtures)
    chips,
    dated_model,
    make_config,
    make_fields,
    make_tiny,
    make_tokenizer,
    masks_model,
    sent_images,
    vectors_model,
    words_model,
)

Run = Callable[[Coroutine[Any, Any, Any]], Any]
LONGEST_S = 300.0


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a coroutine in the event loop of the module's server, from the thread of the test."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(LONGEST_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    """A folder for sessions."""
    return tmp_path / "uploads"
