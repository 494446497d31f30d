"""GeoTIFFs on a web server: read by parts where that is allowed, and refused where it is not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ports import free_port
from range_server import Served, serving
from scene_files import lake, write_scene

from eocore.data.io.readers import read_scene, scene_header
from eocore.data.io.remote_files import is_remote, remote_state, without_query
from eocore.data.records import ImageRef
from eocore.errors import DataError

SIDE = 512


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    folder = tmp_path_factory.mktemp("served")
    write_scene(folder / "s2.tif", lake(SIDE, SIDE))
    (folder / "page.tif").write_text("<html>no such image</html>")
    with serving(folder) as served:
        yield served, folder


def ref_of(path: str, *, remote: bool = True) -> ImageRef:
    return ImageRef("multispectral", "sentinel2_l2a", (path,), window=(100, 200, 64, 48), remote=remote)


def test_a_window_is_that_of_the_file_and_only_its_blocks_are_fetched(server: tuple[Served, Path]) -> None:
    served, folder = server
    served.asked.clear()
    far = read_scene(ref_of(f"{served.url}/s2.tif?signature=secret"))
    near = read_scene(ref_of(str(folder / "s2.tif"), remote=False))
    np.testing.assert_array_equal(far.pixels, near.pixels)
    assert far.georeference == near.georeference and "secret" not in far.path
    fetched = sum(count for _, _, count in served.asked)
    assert 0 < fetched < 0.5 * (folder / "s2.tif").stat().st_size
    assert {path for _, path, _ in served.asked} == {"/s2.tif?signature=secret"}, "nothing else may be asked for"


def test_a_busy_server_is_asked_again(server: tuple[Served, Path]) -> None:
    served, _ = server
    served.busy = 1
    assert scene_header(ref_of(f"{served.url}/s2.tif?again")).size == (64, 48)
    assert served.busy == 0


def test_addresses_are_refused_where_nothing_allows_them(server: tuple[Served, Path]) -> None:
    served, _ = server
    served.asked.clear()
    with pytest.raises(DataError, match=r"not a plain local path\. Remote files are opened by tools/map_scene\.py alone"):
        read_scene(ref_of(f"{served.url}/s2.tif", remote=False))
    for path in ("s3://bucket/a.tif", "/vsicurl/http://127.0.0.1/a.tif", "ftp://host/a.tif"):
        with pytest.raises(DataError, match="not a plain local path"):
            read_scene(ref_of(path))
    assert served.asked == []


@pytest.mark.parametrize("name", ["none.tif", "page.tif"])
def test_what_is_no_image_is_told(server: tuple[Served, Path], name: str) -> None:
    with pytest.raises(DataError, match=rf"127\.0\.0\.1:\d+/{name}: .*GeoTIFF on a web server"):
        read_scene(ref_of(f"{server[0].url}/{name}"))


def test_the_state_of_a_file_changes_with_it_and_not_with_the_signature(server: tuple[Served, Path]) -> None:
    served, folder = server
    state = remote_state(f"{served.url}/s2.tif?signature=a")
    assert state == remote_state(f"{served.url}/s2.tif?signature=b") and state[1] == str((folder / "s2.tif").stat().st_size)
    with pytest.raises(DataError, match=r"none\.tif: the server answers 404"):
        remote_state(f"{served.url}/none.tif")
    with pytest.raises(DataError, match=r"cannot be reached \("):
        remote_state(f"http://127.0.0.1:{free_port()}/a.tif")


def test_what_an_address_is() -> None:
    assert is_remote("https://a.b/c.tif") and is_remote("HTTP://a.b/c.tif")
    assert not any(map(is_remote, ("a.tif", "/data/a.tif", "s3://a/b.tif", "file:///a.tif", "C:\\a.tif")))
    assert without_query("https://a.b/c.tif?token=x#y") == "https://a.b/c.tif" and without_query("/a/b?c.tif") == "/a/b?c.tif"


def test_files_here_and_there_are_read_together(server: tuple[Served, Path], tmp_path: Path) -> None:
    served, folder = server
    bands = ("-", "B02", *["-"] * 10, "-", "-", "B03", *["-"] * 9)
    both = replace(ref_of("x"), paths=(f"{served.url}/s2.tif", str(folder / "s2.tif")), bands=bands)
    scene = read_scene(both)
    assert scene.bands == ("B02", "B03") and scene.size == (64, 48)
