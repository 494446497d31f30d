import pytest

from eocore.evaluate.__main__ import main


def test_unknown_command_names_the_choices(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["scoer"])
    assert stop.value.code == 2
    assert "score" in capsys.readouterr().err


def test_an_error_of_the_input_is_one_line_and_status_1(capsys, tmp_path):
    assert main(["score", "--predictions", str(tmp_path / "none.jsonl")]) == 1
    assert capsys.readouterr().err.startswith("DataError: ")
