"""Files in the page cache and out of it, told by what had to be fetched from storage."""

import tempfile
from pathlib import Path

from eocore.config import load_config
from eocore.data.dataset import SampleSource
from eocore.registry import DATASETS
from eocore.system import systems_of_config
from profiling.files.page_cache import COLD, STATES, WARM, bytes_from_storage, image_paths, possible_states, put

from .conftest import CONFIG

SIZE = 3 * 2**20


def fetched(path: Path) -> int:
    before = bytes_from_storage()
    path.read_bytes()
    return bytes_from_storage() - before


def test_a_file_put_out_of_the_cache_is_fetched_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    states = possible_states([path])
    put([path], WARM)
    assert fetched(path) == 0
    put([path], COLD)  # what was just written too
    assert fetched(path) >= SIZE if COLD in states else fetched(path) == 0
    assert fetched(path) == 0


def test_a_file_system_in_memory_has_no_cold_files() -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(b"content")
        file.flush()
        assert possible_states([Path(file.name)]) == STATES[:1] == (WARM,)
    assert possible_states([]) == (WARM,)


def test_all_images_of_all_parts_are_named_once(world: Path) -> None:
    config = load_config(CONFIG)
    systems_of_config(config)
    source: SampleSource = DATASETS.build(config.task.data)
    paths = image_paths(source)
    assert sorted(paths) == sorted(
        path for role in ("rgb", "multispectral", "sar") for path in (world / "train" / role).iterdir() if path.suffix in (".png", ".tif")
    )
    assert len(paths) == 3 * 4
