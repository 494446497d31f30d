"""Prints a config with its _base_ files merged and overrides applied."""

import argparse
import sys
from pathlib import Path

from eocore.command import command
from eocore.config import load_config
from eocore.overrides import OverrideAction


@command
def main() -> None:
    """Runs the command; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="config file")
    parser.add_argument("--trust-config", action="store_true", help="run a Python config from outside the project's configs folder")
    parser.add_argument("--cfg-options", nargs="+", action=OverrideAction, default={}, metavar="KEY=VALUE", help="overrides; + adds a key")
    arguments = parser.parse_args()
    print(load_config(arguments.config, arguments.cfg_options, trust=arguments.trust_config).pretty_text)


if __name__ == "__main__":
    sys.exit(main())
