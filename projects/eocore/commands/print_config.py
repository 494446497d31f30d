"""Prints a config with its _base_ files merged and overrides applied."""

import argparse

from eocore.command import Command, say
from eocore.commands.arguments import add_config, read_config


def run(arguments: argparse.Namespace) -> None:
    """Prints the config."""
    say(read_config(arguments).pretty_text)


COMMAND = Command(name="print-config", description=__doc__, add_arguments=add_config, run=run)
