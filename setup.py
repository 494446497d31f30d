"""What pyproject.toml cannot say: configs/, which stands at the top of the repository, is installed as eocore/configs."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONFIGS = Path(__file__).parent / "configs"


class BuildWithConfigs(build_py):
    """Builds the packages afresh, with the configs inside; an installation in place reads them where they are."""

    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        for package in {name.partition(".")[0] for name in self.packages}:
            shutil.rmtree(Path(self.build_lib) / package, ignore_errors=True)  # of an older build, with modules that have gone since
        super().run()
        shutil.copytree(CONFIGS, Path(self.build_lib) / "eocore" / "configs", ignore=shutil.ignore_patterns("__pycache__"))


setup(cmdclass={"build_py": BuildWithConfigs})
