"""The page on one's own data: its commands run as they stand, on chips like those it speaks of."""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from own_chips import HEADERS, cut_tiles, make_chips

from eocore.commands import check_data, new_dataset
from eocore.onboarding.columns import FIELDS
from eocore.onboarding.dataset import make_dataset

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(line) for block in BLOCKS for line in block.splitlines()]
NEED_A_MODEL = ("tools/dist.sh", "tools/convert_to_hf.py", "tools/test.py", "tools/report.py", "tools/predict.py")
FEW_UPDATES = ["--cfg-options", "training.max_iters=20", "training.validation.every=10"]


def test_the_page_goes_from_a_table_to_answers_and_names_columns_that_are_known() -> None:
    programs = [words[1] for words in COMMANDS]
    assert set(programs) == {*NEED_A_MODEL, "tools/new_dataset.py", "tools/check_data.py", "tools/show_data.py"}
    made = {Path(words[2]).stem for words in COMMANDS if words[1] == "tools/new_dataset.py"}
    assert made == set(HEADERS) and all(f"{name}.csv" in PAGE and ",".join(header) in PAGE for name, header in HEADERS.items())
    assert {"question", "answer", "phrase", "mask", "caption", "label", "place", "split"} <= {
        word for words in FIELDS.values() for word in words
    }


def test_each_table_of_the_page_becomes_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the reports, which take seconds each to draw."""
    make_chips(tmp_path / "chips")
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    new_dataset.COMMAND.add_arguments(parser)
    for words in COMMANDS:
        if words[1] == "tools/new_dataset.py":
            said = parser.parse_args(words[2:])
            made = make_dataset(said.source, said.out, choices=new_dataset.choices_of(said), base=said.base)
            assert made.findings.skipped == [] and yaml.safe_load(made.config.read_text())["_base_"] == [said.base]
    checked = next(words for words in COMMANDS if words[1] == "tools/check_data.py")
    assert check_data.COMMAND([*checked[2:], "--workers", "0"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("source", ["tiles", "made"])
def test_all_commands_work_one_after_the_other(source: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if source == "tiles":
        cut_tiles(request.getfixturevalue("shared_dir") / "tiles", tmp_path / "chips")
    else:
        make_chips(tmp_path / "chips")
    for name in ("tools", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "projects")}
    for words in COMMANDS:
        more = FEW_UPDATES if words[1] == "tools/dist.sh" else []
        done = subprocess.run([*words, *more], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    own = tmp_path / "own"
    assert (own / "report" / "report.html").is_file() and (own / "model" / "config.json").is_file()
    answers = [json.loads(line) for line in (own / "answers" / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == len(list((tmp_path / "chips" / "rgb").iterdir())) and all("answer" in line for line in answers)
    assert len(json.loads((own / "answers" / "answers.geojson").read_text())["features"]) >= len(answers)
