"""Systems are found by entry points alone: installed ones, those of a checkout, those of another package; and nothing else is imported."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from mmengine.config import Config

from eocore import system
from eocore.errors import ConfigError
from eocore.system import find_system, installed_systems, system_of_config, system_of_model, systems_of_config

SYSTEM = """
from eocore.system import System
SYSTEM = System(name="{name}", model_types=("{name}_model",), task=lambda: dict)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a package with an entry point on the path, as an installation does."""

    def write(name: str, source: str = SYSTEM, *, value: str = "", distribution: str = "") -> None:
        package = f"{name}_of_test"
        (tmp_path / package).mkdir(exist_ok=True)
        (tmp_path / package / "system.py").write_text(source.format(name=name))
        metadata = tmp_path / f"{distribution or package}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution or package}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[eocore.systems]\n{name} = {value or package + '.system:SYSTEM'}\n")

    monkeypatch.syspath_prepend(tmp_path)
    return write


def test_a_system_of_another_package_is_found(install: Callable[..., None]) -> None:
    install("third")
    assert {"earthmind", "third"} <= set(installed_systems())
    assert find_system("third").model_types == ("third_model",)
    assert [found.name for found in systems_of_config(Config({"systems": ["third", "earthmind"]}))] == ["third", "earthmind"]
    assert system_of_config(Config({"systems": ["third"]})).name == "third"


def test_a_name_that_is_not_installed_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "harm.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"no system 'harm' is installed. Installed systems: .*earthmind"):
        systems_of_config(Config({"systems": ["harm"]}))
    assert "harm" not in sys.modules


@pytest.mark.parametrize("named", [{}, {"systems": "earthmind"}])
def test_a_config_without_a_list_of_systems_is_named(named: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"has no list 'systems', which is needed"):
        systems_of_config(Config(named))


def test_a_config_that_trains_names_a_system() -> None:
    with pytest.raises(ConfigError, match=r"has an empty list 'systems'"):
        system_of_config(Config({"systems": []}))


def test_an_entry_point_without_its_module_is_named_and_a_missing_library_is_not_hidden(install: Callable[..., None]) -> None:
    install("gone", value="gone_of_nothing.system:SYSTEM")
    with pytest.raises(ConfigError, match=r"system 'gone' is installed as gone_of_nothing.system:SYSTEM, which is not there"):
        find_system("gone")
    install("half", "import no_such_library\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        find_system("half")


def test_what_is_no_system_is_named(install: Callable[..., None]) -> None:
    install("plain", "SYSTEM = 'a text'\n")
    with pytest.raises(ConfigError, match=r"is installed as plain_of_test.system:SYSTEM, which is no System of that name"):
        find_system("plain")


def test_two_packages_with_one_name_are_named(install: Callable[..., None]) -> None:
    install("twice")
    install("twice", value="other.system:SYSTEM", distribution="other_package")
    with pytest.raises(ConfigError, match=r"two installed packages provide a system 'twice': .* and .*. Uninstall one"):
        installed_systems()


def test_a_part_that_a_system_lacks_is_named(install: Callable[..., None]) -> None:
    install("bare")
    bare = find_system("bare")
    with pytest.raises(ConfigError, match=r"system 'bare' provides no part for it, so its models cannot be converted"):
        bare.need(bare.export, "its models cannot be converted")


def test_a_model_folder_tells_its_system(tmp_path: Path, install: Callable[..., None]) -> None:
    install("third")
    for kind in ("third_model", "earthmind"):
        (tmp_path / "config.json").write_text(f'{{"model_type": "{kind}"}}')
        assert kind in system_of_model(tmp_path).model_types


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no folder of a converted model \(no config.json\)"),
        ("{", r"config.json is broken"),
        ("[]", r"config.json is broken"),
        ('{"model_type": "llama"}', r"model_type 'llama' is of no installed system.*Model types by system: .*earthmind: earthmind"),
        ("{}", r"model_type 'None' is of no installed system"),
    ],
)
def test_a_folder_of_no_system_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        system_of_model(tmp_path)


def test_an_adapter_alone_is_told_from_a_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"an adapter without its base.*docs/training.md, 'Adapters alone'.*without --adapter-only"):
        system_of_model(tmp_path)


class TestCheckout:
    """What pyproject.toml names counts instead of the metadata written when the checkout was installed."""

    PROJECT = '[project]\nname = "{name}"\n[project.entry-points."eocore.systems"]\nours = "earthmind.system:SYSTEM"\n'

    @pytest.fixture(autouse=True)
    def checkout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(system, "CHECKOUT", tmp_path)
        return tmp_path / "pyproject.toml"

    def test_older_metadata_of_the_same_distribution_does_not_count(self, install: Callable[..., None], checkout: Path) -> None:
        install("removed_since", distribution=system.DISTRIBUTION)
        install("third")
        checkout.write_text(self.PROJECT.format(name=system.DISTRIBUTION))
        assert list(installed_systems()) == ["ours", "third"]

    def test_outside_a_checkout_the_metadata_count(self, install: Callable[..., None]) -> None:
        install("installed_plainly", distribution=system.DISTRIBUTION)
        assert "installed_plainly" in installed_systems()

    def test_a_pyproject_of_another_project_does_not_count(self, checkout: Path) -> None:
        checkout.write_text(self.PROJECT.format(name="another"))
        assert "ours" not in installed_systems()

    def test_this_checkout_names_its_systems(self, repo_root: Path) -> None:
        named = [EntryPoint(name, f"{name}.system:SYSTEM", system.GROUP) for name in ("aerith", "earthfm", "earthmind", "ms_clip")]
        assert list(system._of_checkout(repo_root / "pyproject.toml")) == named


def test_naming_a_system_imports_no_heavy_library(repo_root: Path) -> None:
    code = "import sys; from eocore.system import find_systems; find_systems(); print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(repo_root / "projects")})
    assert done.stdout.strip() == "set()", done.stderr
