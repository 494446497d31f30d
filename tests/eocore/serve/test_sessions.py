import asyncio
import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eocore.errors import AccessError, BusyError, ConfigError, DataError
from eocore.serve.options import Limits, ServeOptions
from eocore.serve.service import Service
from eocore.serve.sessions import MARK, Session, SessionStore, StoredImage, clean_name, without_paths


@pytest.fixture
def store(uploads: Path) -> SessionStore:
    made = SessionStore(uploads, Limits(upload_mib=1, session_mib=2, session_files=3, sessions=3, megapixels=1))
    made.open()
    return made


def sent(session: Session, name: str, content: bytes) -> StoredImage:
    return asyncio.run(session.receive_bytes(name, content))


def png(side: int = 8) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)).save(content, "PNG")
    return content.getvalue()


def test_a_folder_belongs_to_one_server_at_a_time(uploads: Path) -> None:
    first, second = (SessionStore(uploads, Limits()) for _ in range(2))
    first.open()
    stored = sent(first.create(), "a.png", png())
    with pytest.raises(ConfigError, match=rf"{uploads}: another server keeps its files there \(process \d+ on .*--uploads"):
        second.open()
    second.close()
    assert stored.path.is_file()
    first.close()
    assert not uploads.exists()
    second.open()
    assert uploads.stat().st_mode & 0o777 == 0o700
    second.close()


def test_facts_come_from_the_header(store: SessionStore, sent_images: Path) -> None:
    session = store.create()
    picture = sent(session, "scene.png", (sent_images / "scene.png").read_bytes())
    assert (picture.facts.role, picture.facts.sensor, picture.facts.size) == ("rgb", "rgb_uint8", (48, 64))
    raster = sent(session, "scene.tif", (sent_images / "scene.tif").read_bytes())
    assert (raster.facts.role, raster.facts.sensor) == ("multispectral", "sentinel2_l2a") and len(raster.facts.bands) == 12
    assert raster.facts.georeference is not None and raster.facts.georeference.transform[2] == 500_000
    assert raster.file(window=(0, 0, 8, 8)).window == (0, 0, 8, 8)


def test_a_zip_of_one_image_is_unpacked(store: SessionStore, sent_images: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.write(sent_images / "place.tif", "folder/place.tif")
    stored = sent(store.create(), "a.zip", content.getvalue())
    assert stored.name == "place.tif" and stored.facts.role == "rgb"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.png", b"", "the file is empty"),
        ("a.exe", b"MZ" + bytes(50), "expected PNG, JPEG, GeoTIFF"),
        ("a.png", b"<svg onload='alert(1)'/>", "expected PNG"),
        ("a.tif", b"II*\0" + bytes(10), "a.tif"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"x" * 50, "a.png"),
        ("a.npy", b"\x93NUMPY", "expected PNG"),
        ("a.tif", b"<VRTDataset/>", "expected PNG"),
    ],
)
def test_what_is_no_image_is_refused_and_leaves_nothing(store: SessionStore, uploads: Path, name: str, content: bytes, words: str) -> None:
    session = store.create()
    with pytest.raises(DataError, match=words) as caught:
        sent(session, name, content)
    assert str(uploads) not in str(caught.value) and not session.images
    assert not [path for path in uploads.rglob("*") if path.is_file() and path.parent != uploads]


def test_limits_hold_while_a_file_comes(store: SessionStore, uploads: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(2**16)

    with pytest.raises(DataError, match="larger than the 1 MiB"):
        asyncio.run(store.create().receive("a.tif", endless()))
    assert not list(uploads.rglob("a.tif"))


def test_a_session_has_limits(store: SessionStore) -> None:
    session = store.create()
    for _ in range(3):
        sent(session, "a.png", png())
    with pytest.raises(DataError, match="holds 3 files already"):
        sent(session, "a.png", png())
    session.remove(session.images[0].image_id)
    sent(session, "a.png", png())
    with pytest.raises(DataError, match="of up to 1 million"):
        session.remove(session.images[0].image_id)
        content = io.BytesIO()
        Image.new("L", (1200, 1000)).save(content, "PNG")
        sent(session, "large.png", content.getvalue())
    store.create(), store.create()
    with pytest.raises(BusyError, match="3 sessions are open"):
        store.create()


def test_sessions_do_not_see_each_other(store: SessionStore) -> None:
    one, other = store.create(), store.create()
    stored = sent(one, "a.png", png())
    with pytest.raises(AccessError, match="holds no such image"):
        other.image(stored.image_id)
    for made_up in ("", "..", one.session_id[:-1], str(stored.path)):
        with pytest.raises(AccessError):
            store.get(made_up)
        with pytest.raises(AccessError):
            one.image(made_up)
    assert store.get(one.session_id) is one and one.session_id not in str(stored.path)


def test_files_are_their_owners_and_are_deleted(store: SessionStore, uploads: Path) -> None:
    session = store.create()
    stored = sent(session, "a.png", png())
    assert uploads.stat().st_mode & 0o077 == 0 and stored.path.is_file()
    store.drop(session)
    store.drop(session)
    assert not stored.path.exists()
    again = sent(store.create(), "a.png", png())
    store.close()
    assert not again.path.exists() and not uploads.exists()


def test_idle_sessions_are_dropped(uploads: Path) -> None:
    store = SessionStore(uploads, Limits(session_idle_s=0.0))
    store.open()
    session = store.create()
    stored = sent(session, "a.png", png())
    store.drop_idle()
    assert not stored.path.exists()
    with pytest.raises(AccessError, match="deleted after a while"):
        store.get(session.session_id)


def test_only_a_folder_of_its_own_is_emptied(uploads: Path, tmp_path: Path) -> None:
    (uploads / "session").mkdir(parents=True)
    for name in (MARK, "session/a.png"):  # as a killed server leaves it
        (uploads / name).touch()
    made = SessionStore(uploads, Limits())
    made.open()
    assert not (uploads / "session").exists()
    made.close()
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="would be emptied"):
        SessionStore(tmp_path / "home", Limits()).open()
    assert (tmp_path / "home/thesis.txt").exists()


def test_a_folder_that_was_refused_is_kept_when_the_server_ends(tmp_path: Path) -> None:
    kept = tmp_path / "data" / "scene.tif"
    kept.parent.mkdir()
    kept.write_text("mine")

    async def start() -> None:
        async with Service(ServeOptions(indexes=(tmp_path,), uploads=kept.parent)):
            pass

    with pytest.raises(ConfigError, match="holds files that no server has put there"):
        asyncio.run(start())
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("a b.png", "a_b.png"),
        ("../../x.tif", "x.tif"),
        ("C:\\a\\b.tif", "b.tif"),
        ("", "image"),
        ("..", "image"),
        (".hidden", "hidden"),
        ("<img src=x>.png", "_img_src_x_.png"),
    ],
)
def test_names_are_cleaned(name: str, cleaned: str) -> None:
    assert clean_name(name) == cleaned


def test_errors_lose_paths() -> None:
    error = DataError("/up/a1/b2/scene.tif: broken (looked at /up/a1/b2/unpacked/P.SAFE/x.jp2), in /up")
    assert str(without_paths(error, Path("/up"))) == "scene.tif: broken (looked at x.jp2), in the upload"
    assert isinstance(without_paths(error, Path("/up")), DataError)
