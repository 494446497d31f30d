"""The command line of `eo estimate-memory`."""

import argparse

from eocore.commands.estimate_memory import add_arguments


def test_lengths_given_twice_count_twice() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args(["c.py", "--tokens", "128", "--tokens", "256", "512"]).tokens == [128, 256, 512]
    assert parser.parse_args(["c.py"]).tokens is None
