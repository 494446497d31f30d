"""The repository that this code is run from, if it is run from one: an installed package has none, whatever lies around it."""

import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = _ROOT if (_ROOT / "pyproject.toml").is_file() else None
"""Its root; None where the code is not in a checkout."""


def ask_git(*arguments: str) -> str | None:
    """What git answers about the repository; None where there is no repository or no git."""
    if CHECKOUT is None:
        return None
    try:
        done = subprocess.run(["git", "-C", str(CHECKOUT), *arguments], check=True, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
