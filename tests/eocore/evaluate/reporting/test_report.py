import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from eocore.errors import DataError
from eocore.evaluate.reporting.plots import overlay_row
from eocore.evaluate.reporting.report import describe_environment, write_report
from eocore.evaluate.scoring.score import score_predictions

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PHONE_WIDTH = 390
PROBE = """<script>addEventListener('load', () => parent.postMessage(JSON.stringify({
  width: document.documentElement.scrollWidth,
  broken: [...document.images].filter(image => !image.naturalWidth).length,
  images: document.images.length,
  requests: performance.getEntriesByType('resource').filter(entry => !entry.name.startsWith('data:')).length,
}), '*'))</script>"""
FRAME = """<body><p id="found"></p><script>addEventListener('message', event => { found.textContent = event.data })</script>
<iframe src="probe.html" width="WIDTH" height="2000" style="border:0"></iframe>"""


@pytest.fixture(scope="module")
def scores(predicted):
    return score_predictions(predicted)


@pytest.fixture(scope="module")
def overlays():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    mask = np.zeros((64, 64), dtype=bool)
    mask[10:30, 20:50] = True
    masks = {"optical": None, "sar": mask, "fused": mask}
    return [overlay_row(title=f"<scene> {n}", images={"optical": image, "sar": image}, truth=mask, predictions=masks) for n in range(2)]


@pytest.fixture(scope="module")
def report(tmp_path_factory, scores, overlays):
    folder = tmp_path_factory.mktemp("report")
    scalars = folder / "scalars.jsonl"
    steps = [{"step": step, "loss": 3 / step, "loss_text": 2 / step, "lr": 0.1} for step in range(1, 20)] + [
        {"step": 20, "loss": float("inf")}
    ]
    scalars.write_text("".join(json.dumps(step) + "\n" for step in steps))
    return write_report(folder / "out", scores, title="A & B", scalars=scalars, overlays=overlays, environment={"machine": "one <cpu>"})


class Nesting(HTMLParser):
    """Fails on a tag closed out of turn, and collects what is loaded."""

    VOID = ("meta", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.loaded += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_well_formed_and_needs_nothing_beside_it(report):
    page = Nesting()
    page.feed(report.read_text(encoding="utf-8"))
    assert page.open == []
    assert len(page.loaded) == 2 + 2 * 6
    assert all(source.startswith("data:image/png;base64,") for source in page.loaded)
    assert "url(" not in report.read_text(encoding="utf-8")


def test_page_holds_scores_counts_curves_and_environment(report, scores):
    text = report.read_text(encoding="utf-8")
    value = scores["settings"]["fused"]["referring"]["overall"]["metrics"]["miou"]["value"]
    for part in (
        f"{100 * value:.1f} [",
        "A &amp; B",
        "&lt;scene&gt; 1",
        "one &lt;cpu&gt;",
        "optical: no mask",
        "Training",
        "miou with background",
    ):
        assert part in text
    assert "1 of 20 logged training steps hold values that are not finite" in text
    assert "no score is made of them: 40 chat (optical)" in text


def test_markdown_says_the_same_and_its_pictures_exist(report):
    text = (report.parent / "report.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\(([^)]+)\)", text)
    assert len(pictures) == 2 + 2 * 6
    assert all((report.parent / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)
    assert "| vqa | optical | accuracy |" in text


def test_report_can_do_without_curves_and_overlays(tmp_path, scores):
    text = write_report(tmp_path, scores, title="Scores", environment={}).read_text(encoding="utf-8")
    assert "<h2>Training" not in text
    assert "Masks on test scenes" not in text
    assert "{{" not in text and "{%" not in text


def test_report_of_tasks_without_scores(tmp_path, predicted):
    scores = score_predictions([item for item in predicted if item.task == "chat"])
    with pytest.raises(DataError, match=r"no task in the predictions has a score \(.*chat.*\); there is nothing to report"):
        write_report(tmp_path, scores, title="Scores")


def test_environment_names_machine_and_versions():
    found = describe_environment()
    assert "cores" in found["machine"]
    assert re.match(r"2\.\d+", found["torch"])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_page_fits_a_phone_and_shows_every_picture(report):
    text = report.read_text(encoding="utf-8")
    (report.parent / "probe.html").write_text(text.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    frame = report.parent / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(PHONE_WIDTH)), encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=5000", "--dump-dom"]
    command = [CHROMIUM, *options, f"--user-data-dir={report.parent / 'profile'}", frame.as_uri()]
    page = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    found = json.loads(re.search(r'<p id="found">(.*?)</p>', page)[1])
    assert found == {"width": PHONE_WIDTH, "broken": 0, "images": 14, "requests": 0}
