"""What the wheel and the source distribution hold, and that both ways of building give the same wheel."""

import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from distributions import build, copy_sources
from packaging.requirements import Requirement

IN_PACKAGES = ("projects/eocore", "projects/earthmind", "projects/ms_clip", "projects/aerith", "projects/aerithvlm", "projects/earthfm")


def files_below(folder: Path) -> set[str]:
    """Of a folder in the repository, without what Python writes."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def sources(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = copy_sources(repo_root, tmp_path_factory.mktemp("copy") / "sources")
    stale = sources / "build" / "lib" / "eocore" / "gone.py"  # of an older build in the same checkout
    stale.parent.mkdir(parents=True)
    stale.touch()
    return sources


@pytest.fixture(scope="module")
def in_wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return set(zipfile.ZipFile(build("wheel", sources, tmp_path_factory.mktemp("wheel"))).namelist())


@pytest.fixture(scope="module")
def sdist(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    out = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", sources, out)) as archive:
        archive.extractall(out / "unpacked", filter="data")
    return next((out / "unpacked").iterdir())


def test_the_wheel_holds_every_file_of_the_packages(repo_root: Path, in_wheel: set[str]) -> None:
    for package in IN_PACKAGES:
        expected = {f"{Path(package).name}/{name}" for name in files_below(repo_root / package)}
        assert expected <= in_wheel, f"missing: {sorted(expected - in_wheel)}"


def test_the_wheel_holds_the_configs_and_nothing_else(repo_root: Path, in_wheel: set[str]) -> None:
    packaged = {name.removeprefix("eocore/configs/") for name in in_wheel if name.startswith("eocore/configs/")}
    assert packaged == files_below(repo_root / "configs")
    tops = {name.split("/")[0] for name in in_wheel}
    assert {top for top in tops if not re.fullmatch(r"eocore_earthmind-.*\.dist-info", top)} == {
        Path(package).name for package in IN_PACKAGES
    }


def test_modules_of_an_older_build_do_not_ship(in_wheel: set[str]) -> None:
    assert "eocore/gone.py" not in in_wheel


def test_the_source_distribution_holds_what_the_repository_holds(sources: Path, sdist: Path) -> None:
    written_by_builds = {"setup.cfg", "PKG-INFO"}
    generated = {"build", "projects/eocore_earthmind.egg-info"}
    expected = {name for name in files_below(sources) if not name.startswith(tuple(generated)) and name != ".gitignore"}
    found = {name for name in files_below(sdist) if not name.startswith(tuple(generated))} - written_by_builds
    assert found == expected


def test_the_source_distribution_builds_the_same_wheel(sdist: Path, in_wheel: set[str], tmp_path: Path) -> None:
    assert set(zipfile.ZipFile(build("wheel", sdist, tmp_path)).namelist()) == in_wheel


def test_requirements_are_the_project_in_place_with_its_extras(repo_root: Path) -> None:
    """`pip install -r requirements.txt` in a checkout, as upstream READMEs install."""
    import tomllib

    lines = [line.split("#")[0].strip() for line in (repo_root / "requirements.txt").read_text().splitlines()]
    (line,) = [line for line in lines if line]
    assert (found := re.fullmatch(r"-e \.\[([\w,]+)\]", line)), line
    extras = tomllib.loads((repo_root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(found[1].split(",")) == {"train", "eval"} <= set(extras)
    assert any(Requirement(text).name == "deepspeed" for text in extras["train"])
    assert not any(Requirement(text).name == "deepspeed" for text in extras["eval"]), "evaluation does without it"
