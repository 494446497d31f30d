from eocore.evaluate.__main__ import main


def test_unknown_command_names_the_choices(capsys):
    assert main(["scoer"]) == 2
    assert "no command 'scoer'. Did you mean 'score'? Commands: run, merge, score" in capsys.readouterr().err


def test_an_error_of_the_input_is_one_line_and_status_1(capsys, tmp_path):
    assert main(["score", "--predictions", str(tmp_path / "none.jsonl")]) == 1
    assert capsys.readouterr().err.startswith("DataError: ")
