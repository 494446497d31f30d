"""The command line of `eo measure-throughput`."""

import argparse

import pytest

from eocore.commands.measure_throughput import add_arguments

MODEL = ("--model", "M")
BENCHMARKS = ("--benchmark", "rrsisd", "--benchmark", "aid", "ucm")


def test_options_given_twice_count_twice() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = parser.parse_args([*MODEL, *BENCHMARKS, "--batch-sizes", "2", "--batch-sizes", "4", "8"])
    assert (given.benchmark, given.batch_sizes) == (["rrsisd", "aid", "ucm"], [2, 4, 8])


@pytest.mark.parametrize("option", ["--batch-sizes", "--samples", "--turns", "--max-new-tokens"])
def test_counts_below_one_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([*MODEL, option, "0"])
    assert f"argument {option}: '0' is no whole number of at least 1" in capsys.readouterr().err
