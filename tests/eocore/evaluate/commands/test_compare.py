import json

from eocore.evaluate.__main__ import main
from eocore.evaluate.comparison.paired import Comparison
from eocore.evaluate.reporting.difference_tables import comparison_table


def test_the_command_on_two_foreign_files(capsys, tmp_path):
    for name, said in (("a", "yes"), ("b", "no")):
        lines = [json.dumps({"answer": said if number % 2 else "yes", "annotation": "yes"}) for number in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    out = tmp_path / "c.json"
    words = ["compare", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--task", "vqa", "--out", out]
    assert main([str(word) for word in words]) == 0
    shown = capsys.readouterr().out
    assert "1.0000" in shown and "+0.5000" in shown
    (row,) = json.loads(out.read_text())
    assert row["difference"]["low"] > 0.3


def test_each_figure_names_its_setting():
    def row(first: str, second: str) -> Comparison:
        value = {"value": 0.5, "low": None, "high": None}
        settings = {"first_setting": first, "second_setting": second}
        return {
            "task": "vqa",
            "samples": "all",
            "metric": "accuracy",
            "first": 1.0,
            "second": 0.5,
            "difference": value,
            "p": None,
            "n": 4,
        } | settings

    table = comparison_table([row("optical", "optical"), row("fused", "sar")])
    assert table.header[1] == "setting"
    assert [cells[1] for cells in table.rows] == ["optical", "fused - sar"]
