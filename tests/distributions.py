"""The wheel and the source distribution, built from a copy of the repository so that nothing is left in it."""

import shutil
import subprocess
import sys
from pathlib import Path

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".ci", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "work_dirs", "shared"
)


def copy_sources(root: Path, target: Path) -> Path:
    """What the repository holds, without environments, caches, data and weights."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        local = {name for name in names if name != "README.md"} if Path(folder) in (root / "data", root / "pretrained") else set()
        return set(LEFT_OUT(folder, names)) | local

    shutil.copytree(root, target, ignore=left_out)
    return target


def build(kind: str, sources: Path, out: Path) -> Path:
    """The `wheel` or `sdist` of the sources, made by the build back end itself, in the folder `out`."""
    out.mkdir(exist_ok=True)
    program = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, str(out)], cwd=sources, check=True, capture_output=True, timeout=300)
    return next(out.glob("*.whl" if kind == "wheel" else "*.tar.gz"))
