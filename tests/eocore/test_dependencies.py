"""Libraries with known holes are refused before anything uses them."""

from collections.abc import Iterator

import pytest
from mmengine.config import Config

from eocore import dependencies
from eocore.dependencies import FLOORS, check_dependencies, vulnerable
from eocore.errors import ConfigError
from eocore.system import systems_of_config


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    check_dependencies.cache_clear()
    yield
    check_dependencies.cache_clear()


def test_what_is_installed_is_above_every_floor() -> None:
    assert vulnerable() == []


@pytest.mark.parametrize(
    ("name", "installed"), [("torch", "2.9.1+cu128"), ("transformers", "5.2.0"), ("gradio", "6.6.9"), ("torch", "2.4")]
)
def test_an_older_one_stops_every_command(monkeypatch: pytest.MonkeyPatch, name: str, installed: str) -> None:
    monkeypatch.setattr(dependencies, "version", lambda asked: installed if asked == name else "99")
    with pytest.raises(ConfigError, match=rf"{name} {installed.replace('+', '.')} is installed; below {FLOORS[name][0]}: CVE-.*Upgrade it"):
        systems_of_config(Config({"systems": ["earthmind"]}))


def test_it_can_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "version", lambda asked: "0.1")
    monkeypatch.setenv("EOCORE_ALLOW_VULNERABLE", "1")
    check_dependencies()


@pytest.mark.parametrize("installed", ["2.10.0", "2.13.0+cpu", "2.14.0.dev20261101", "3.0"])
def test_newer_ones_pass(monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    monkeypatch.setattr(dependencies, "version", lambda asked: installed)
    assert vulnerable(["torch"]) == []
