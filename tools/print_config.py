"""Prints a config with its _base_ files merged and overrides applied."""

import argparse
import sys
from pathlib import Path

from mmengine.config import DictAction

from eocore.config import load_config
from eocore.errors import EOError


def main() -> int:
    """Runs the command; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="config file")
    parser.add_argument("--trust-config", action="store_true", help="run a Python config from outside the project's configs folder")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={}, metavar="KEY=VALUE", help="overrides; + adds a key")
    arguments = parser.parse_args()
    try:
        print(load_config(arguments.config, arguments.cfg_options, trust=arguments.trust_config).pretty_text)
    except EOError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
