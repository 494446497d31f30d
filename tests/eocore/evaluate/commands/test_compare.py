import json

from eocore.evaluate.__main__ import main


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
