"""Configs from untrusted hands: data files are data alone, Python files run only where they are trusted, and nothing else is built."""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from eocore.config import load_config
from eocore.errors import ConfigError
from eocore.log import get_logger
from eocore.registry import DATASETS, HOOKS, METRICS, TASKS, TOKENIZERS, TRANSFORMS
from eocore.shipped_configs import CONFIGS
from eocore.system import systems_of_config
from eocore.train.runner import read_tracking

FORBIDDEN = ("subprocess.check_output", "os.system", "builtins.eval", "torch.hub.load", "mmengine.config.Config.fromstring")


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[Path]:
    """A file that any foreign code of these tests would write."""
    path = tmp_path / "it_ran"
    yield path
    assert not path.exists(), "foreign code ran"


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_json_and_yaml_are_read_and_merged_with_their_bases(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "seed: 0\ntraining: {max_iters: 10, clip_norm: 1.0}\nhooks: {a: {type: A, interval: 1}}\n")
    write(tmp_path / "mine.json", {"_base_": "base.yaml", "training": {"max_iters": 20}, "hooks": {"a": {"_delete_": True, "type": "B"}}})
    config = load_config(tmp_path / "mine.json", {"training.clip_norm": 0.5})
    assert config.to_dict() == {"seed": 0, "training": {"max_iters": 20, "clip_norm": 0.5}, "hooks": {"a": {"type": "B"}}}


@pytest.mark.parametrize(("name", "text"), [("a.json", '{"seed": 3}'), ("a.yaml", "seed: 3\n"), ("b.yml", "seed:\r\n  3\r\n")])
def test_a_byte_order_mark_is_no_part_of_a_config(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert load_config(tmp_path / name).to_dict() == {"seed": 3}


def test_a_data_config_may_build_on_the_project_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eocore.config_files.CONFIGS", tmp_path / "configs")
    (tmp_path / "configs").mkdir()
    (tmp_path / "user").mkdir()
    write(tmp_path / "configs" / "base.py", "seed = 3\n")
    assert load_config(write(tmp_path / "user" / "mine.yaml", "_base_: ../configs/base.py\nname: x\n")).to_dict() == {
        "seed": 3,
        "name": "x",
    }


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch {}']", "!!python/object/apply:pathlib.Path.touch [{}]"])
def test_yaml_tags_run_nothing(tmp_path: Path, sentinel: Path, tag: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml: not plain data: could not determine a constructor for the tag"):
        load_config(write(tmp_path / "x.yaml", f"a: {tag.format(sentinel)}\n"))


def test_custom_imports_import_nothing(tmp_path: Path, sentinel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "harm.py", f"open({str(sentinel)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for content in ({"custom_imports": {"imports": ["harm"]}}, {"task": {"custom_imports": {"imports": "harm"}}}):
        with pytest.raises(ConfigError, match=r"has custom_imports, which would import code; a data config imports nothing"):
            load_config(write(tmp_path / "x.json", content))
    assert "harm" not in sys.modules


def test_a_python_base_is_not_run(tmp_path: Path, sentinel: Path) -> None:
    write(tmp_path / "base.py", f"open({str(sentinel)!r}, 'w')\n")
    with pytest.raises(ConfigError, match=r"_base_ names base\.py, which lies outside .* or is Python code outside the latter"):
        load_config(write(tmp_path / "x.yaml", "_base_: base.py\n"))


@pytest.mark.parametrize(
    "base",
    ["../up.yaml", "/etc/x.yaml", "http://127.0.0.1:9/x.yaml", "mmengine::x.yaml", "link.yaml", "a\0b", 3, "gone.yaml", "base.txt"],
)
def test_bases_outside_are_not_read(tmp_path: Path, base: Any) -> None:
    folder = tmp_path / "configs"
    folder.mkdir()
    write(tmp_path / "up.yaml", "a: 1\n")
    write(folder / "base.txt", "a: 1\n")
    (folder / "link.yaml").symlink_to(tmp_path / "up.yaml")
    with pytest.raises(ConfigError, match=r"x\.json: _base_ names .*(outside|not read|no config file)"):
        load_config(write(folder / "x.json", {"_base_": base}))


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_dotted_types_are_refused_with_their_key(tmp_path: Path, name: str, suffix: str) -> None:
    path = write(tmp_path / f"x.{suffix}", {"task": {"data": [{"type": name, "args": ["touch it_ran"]}]}})
    with pytest.raises(ConfigError, match=r"task\.data\.0\.type is '.*', but a config builds registered names alone"):
        load_config(path)
    with pytest.raises(ConfigError, match="builds registered names alone"):
        load_config(write(tmp_path / "y.json", {"task": {"type": "A"}}), {"task.type": name})


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("registry", [DATASETS, HOOKS, METRICS, TASKS, TOKENIZERS, TRANSFORMS], ids=lambda registry: registry.name)
def test_no_registry_builds_a_dotted_name(registry: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"registry '{registry.name}' has no '{name}'"):
        registry.build({"type": name})


def test_tracking_builds_no_dotted_name() -> None:
    with pytest.raises(ConfigError, match=r"back end 'os.system', which does not exist"):
        read_tracking(Config({"tracking": [{"type": "os.system"}]}))


@pytest.mark.parametrize("name", ["os", "subprocess", "eocore.data", "earthmind.task"])
def test_systems_import_nothing_else(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"no system '{name}' is installed"):
        systems_of_config(Config({"systems": [name]}))


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        ("json", '{"_delete_": true}', "_delete_ stands where there is nothing to delete"),
        ("json", '{"a": {"_delete_": "x"}}', r"a\._delete_ must be true"),
        ("json", '{"a": {"_delete_": true, "b": 1}}', r"a must stand in a base"),
        ("json", '{"a": 1, "a": 2}', "key 'a' is duplicated"),
        ("yaml", "a: 1\na: 2\n", "key 'a' is duplicated"),
        ("json", '{"a": NaN}', r"a is nan \(float\)"),
        ("json", '{"a": "{{$HOME:}}"}', "a holds a template; a data config reads no variables"),
        ("json", '{"a.b": 1}', r"has the key 'a\.b'; expected a text without a dot"),
        ("yaml", "1: 2\n", "has the key '1'; expected a text"),
        ("yaml", "? [1, 2]\n: 3\n", "not plain data"),
        ("yaml", "a: 2020-01-01\n", r"a is 2020-01-01 \(date\); expected text, a number, yes or no"),
        ("yaml", "a: &a [*a]\n", "not plain data"),
        ("json", "[1]", "holds list; expected keys with values"),
        ("json", '{"a":' * 3000 + "1" + "}" * 3000, "not plain data: maximum recursion"),
        ("json", '{"a":' * 90 + "1" + "}" * 90, "more than 100000 values or 64 levels"),
        ("yaml", "_base_: x.yaml\n", "builds on itself"),
        ("toml", "a = 1\n", r"expected a \.py, \.json or \.yaml file"),
    ],
)
def test_broken_and_tricky_data_is_refused(tmp_path: Path, suffix: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path / f"x.{suffix}", text))


def test_aliases_cannot_grow_without_end(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    with pytest.raises(ConfigError, match="more than 100000 values"):
        load_config(write(tmp_path / "x.yaml", "\n".join(lines)))


def test_a_python_config_from_elsewhere_runs_only_when_trusted(tmp_path: Path, sentinel: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "x.py", f"open({str(sentinel)!r}, 'w').close()\nseed = 0\n")
    with pytest.raises(ConfigError, match=r"reading it runs it, with all your rights\. Read it, then allow it with --trust-config"):
        load_config(path)
    assert not sentinel.exists()
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    get_logger().addHandler(handler)
    assert load_config(path, trust=True).seed == 0
    get_logger().removeHandler(handler)
    assert seen == [f"{path} is run as Python code, because of --trust-config"]
    sentinel.unlink()


def test_the_project_s_own_configs_need_no_trust() -> None:
    assert load_config(next(CONFIGS.glob("earthmind/*.py"))).systems == ["earthmind"]
