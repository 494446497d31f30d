from pathlib import Path
from types import SimpleNamespace

import pytest

from eocore.errors import AccessError
from eocore.serve.options import Limits
from eocore.serve.page.tabs import Tabs
from eocore.serve.sessions import SessionStore


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    found = SessionStore(tmp_path / "uploads", Limits())
    found.open()
    return found


def make(store: SessionStore, *, left_s: float = 600.0) -> Tabs:
    return Tabs(SimpleNamespace(sessions=store), left_s=left_s)  # type: ignore[arg-type]


def test_a_tab_that_comes_back_finds_its_desk(store: SessionStore) -> None:
    tabs = make(store)
    tab = tabs.enter("browser", "tab")
    tabs.leave(tab)
    assert tabs.enter("browser", "tab") is tab


def test_other_tabs_and_other_browsers_have_their_own(store: SessionStore) -> None:
    tabs = make(store)
    tab = tabs.enter("browser", "tab")
    others = [tabs.enter("browser", "other"), tabs.enter("stranger", "tab")]
    assert len({id(each.session) for each in (tab, *others)}) == 3
    assert tabs.find("browser", tab.key) is tab
    for browser, key in (("stranger", tab.key), ("browser", "guess"), ("", tab.key)):
        with pytest.raises(AccessError, match="there is no such tab"):
            tabs.find(browser, key)


def test_files_of_a_tab_that_was_left_are_deleted(store: SessionStore, tmp_path: Path) -> None:
    tabs = make(store, left_s=-1.0)
    tab, kept = tabs.enter("browser", "tab"), tabs.enter("browser", "kept")
    tabs.leave(tab)
    folders = [path for path in (tmp_path / "uploads").iterdir() if path.is_dir()]
    assert len(folders) == 2
    tabs.sweep()
    assert len([path for path in folders if path.is_dir()]) == 1
    with pytest.raises(AccessError):
        tabs.find("browser", tab.key)
    assert tabs.find("browser", kept.key) is kept
    assert tabs.enter("browser", "tab") is not tab


def test_things_of_a_desk_are_named_by_keys_alone(store: SessionStore) -> None:
    tab = make(store).enter("browser", "tab")
    for find in (tab.image, tab.layer):
        with pytest.raises(AccessError, match="in this tab"):
            find("guess")
