"""The adapters with a real (tiny) checkpoint.

lmms-eval: the real package where it is installed (its base class and registry; `pip install --no-deps lmms-eval loguru pytz` brings them
without torchvision), else a stand-in with the abstract interface of version 0.7.3. VLMEvalKit: a stand-in with the interface of its
`vlmeval.vlm.base.BaseModel` (commit e8e78f05), and its own base class and inference loop where the package is installed (`pip install
--no-deps ms-vlmeval pandas tabulate validators sty`, a copy of it on the package index). The packages around these, which import every
model and benchmark there is and with them torchvision, are left out either way.
"""

import abc
import importlib
import importlib.util
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from video_making import grey_video

from earthmind.predictor import load_model
from eocore.data.io.video_files import read_frames
from eocore.errors import ConfigError, DataError
from eocore.portable.series import Moment

PACKAGE = "eocore.evaluate.harnesses"
HAS_LMMS_EVAL = importlib.util.find_spec("lmms_eval") is not None
VLMEVALKIT = importlib.util.find_spec("vlmeval")


class Lmms(abc.ABC):
    """lmms_eval.api.model.lmms, its abstract part."""

    is_simple = True

    def __init__(self) -> None:
        self._rank, self._world_size, self.task_dict = 0, 1, {}
        self.cache_hook = SimpleNamespace(add_partial=lambda *arguments: None)

    rank = property(lambda self: self._rank)
    world_size = property(lambda self: self._world_size)

    @abc.abstractmethod
    def loglikelihood(self, requests: list) -> list: ...

    @abc.abstractmethod
    def generate_until(self, requests: list) -> list: ...

    @abc.abstractmethod
    def generate_until_multi_round(self, requests: list) -> list: ...


class BaseModel:
    """vlmeval.vlm.base.BaseModel: `generate` checks a message and hands it to `generate_inner`."""

    INTERLEAVE = False
    allowed_types = ("text", "image", "video")

    @abc.abstractmethod
    def generate_inner(self, message: list, dataset: str | None = None) -> str: ...

    def generate(self, message: list, dataset: str | None = None) -> str:
        assert all(item["type"] in self.allowed_types and "value" in item for item in message)
        return self.generate_inner(message, dataset)


def stand_in(monkeypatch: pytest.MonkeyPatch, **modules: dict[str, Any]) -> None:
    for name, content in modules.items():
        module = ModuleType(name.replace("__", "."))
        vars(module).update({"__path__": [], **content})
        monkeypatch.setitem(sys.modules, module.__name__, module)
        parent, _, child = module.__name__.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


@pytest.fixture
def fresh() -> Iterator[None]:
    """The adapter modules are imported anew and forgotten after the test."""
    yield
    for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.") and name.endswith("_model") and "chat" not in name]:
        del sys.modules[name]


@pytest.fixture
def lmms(monkeypatch: pytest.MonkeyPatch, fresh: None, our_folder: Path) -> Any:
    """The model as lmms-eval builds it."""
    if not HAS_LMMS_EVAL:
        stand_in(monkeypatch, lmms_eval={}, lmms_eval__api={}, lmms_eval__api__model={"lmms": Lmms})
    model_class = importlib.import_module(f"{PACKAGE}.lmms_eval_model").LmmsEvalModel
    model = model_class(pretrained=str(our_folder), batch_size="2", max_new_tokens=6, device="cpu")
    model.task_dict = {"task": {"test": [{"n": number} for number in range(5)]}}
    return model


def picture(number: int) -> Image.Image:
    return Image.effect_noise((40, 56), 40 + 10 * number).convert("RGB")


PICTURES = [picture(number) for number in range(5)]


def requests(*, content: Any = None, **settings: Any) -> list[SimpleNamespace]:
    def messages(doc: dict) -> list[dict]:
        text = {"type": "text", "text": f"Question {doc['n']}?"}
        return [{"role": "user", "content": content or [{"type": "image", "url": PICTURES[doc["n"]]}, text]}]

    return [SimpleNamespace(args=("", messages, {"max_new_tokens": 6, **settings}, number, "task", "test")) for number in range(5)]


def test_lmms_eval_gets_the_answers_of_the_checkpoint_in_order(lmms: Any, our_folder: Path) -> None:
    model = load_model(our_folder, device="cpu")
    expected = [model.predict({"rgb": PICTURES[n]}, f"Question {n}?", max_new_tokens=6).text.strip() for n in range(5)]
    assert lmms.generate_until(requests()) == expected
    assert (lmms.rank, lmms.world_size, lmms.is_simple) == (0, 1, False)


def test_settings_of_a_task_are_kept(lmms: Any) -> None:
    whole = lmms.generate_until(requests())[0]
    assert len(lmms.generate_until(requests(max_new_tokens=1))[0]) < len(whole)
    assert lmms.generate_until(requests(until=[whole[1:3]]))[0] == whole[:1].strip()


def test_sampling_is_answered_greedily_and_said_once(lmms: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(f"{PACKAGE}.lmms_eval_model.get_logger", lambda: SimpleNamespace(warning=said.append))
    assert lmms.generate_until(requests(temperature=0.7)) == lmms.generate_until(requests(temperature=0.7))
    assert len(said) == 1 and "answers greedily" in said[0]


def test_what_the_model_cannot_do_is_said(lmms: Any) -> None:
    with pytest.raises(DataError, match="a message holds audio; the model is shown text, pictures and videos alone"):
        lmms.generate_until(requests(content=[{"type": "audio", "url": "a.wav"}]))
    for call in (lmms.loglikelihood, lmms.generate_until_multi_round):
        with pytest.raises(ConfigError, match="choose tasks with output_type generate_until"):
            call([])


def test_videos_of_a_task_are_shown_by_their_frames(lmms: Any, our_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="extra video is not installed")
    video, lmms.max_frames = grey_video(tmp_path / "a.mp4", 20), 3
    asked = "What happens?"
    plain = load_model(our_folder, device="cpu")

    def expected(*numbers: int) -> str:
        frames = {frame.number: Image.fromarray(frame.pixels) for frame in read_frames(video, 20)}
        moments = [Moment(f"frame {place}", {"rgb": frames[number]}) for place, number in enumerate(numbers, start=1)]
        return str(plain.predict(moments, asked, max_new_tokens=6).text.strip())

    for url, numbers in (
        (str(video), (0, 9, 19)),
        ({"path": str(video), "video_start": 1.0, "video_end": 1.2}, (10, 11, 12)),
        ([Image.fromarray(frame.pixels) for frame in read_frames(video, 20)], (0, 9, 19)),
    ):
        content = [{"type": "video", "url": url}, {"type": "text", "text": asked}]
        assert lmms.generate_until(requests(content=content)[:1]) == [expected(*numbers)]
    with pytest.raises(DataError, match=r"none.mp4: there is no such video file"):
        lmms.generate_until(requests(content=[{"type": "video", "url": "none.mp4"}]))
    with pytest.raises(DataError, match="a message holds 2 videos and pictures; the model is shown one video by itself"):
        lmms.generate_until(requests(content=[{"type": "video", "url": str(video)}, {"type": "image", "url": PICTURES[0]}]))
    with pytest.raises(DataError, match="a video of no frames"):
        lmms.generate_until(requests(content=[{"type": "video", "url": []}]))
    with pytest.raises(ConfigError, match="max_frames_num '0': expected a whole number of 1 or more"):
        type(lmms)(pretrained=str(our_folder), max_frames_num="0")
    with pytest.raises(ConfigError, match="model_args: conv_template is read by nothing; expected some of pretrained, modalities"):
        type(lmms)(pretrained=str(our_folder), conv_template="qwen_1_5")


def test_the_entry_point_is_a_manifest_of_that_class(repo_root: Path, monkeypatch: pytest.MonkeyPatch, fresh: None) -> None:
    if not HAS_LMMS_EVAL:
        content = {"ModelManifest": lambda **fields: SimpleNamespace(**fields)}
        stand_in(monkeypatch, lmms_eval={}, lmms_eval__models={}, lmms_eval__models__registry_v2=content)
        stand_in(monkeypatch, lmms_eval__api={}, lmms_eval__api__model={"lmms": Lmms})
    points = tomllib.loads((repo_root / "pyproject.toml").read_text())["project"]["entry-points"]["lmms_eval.models"]
    found = EntryPoint("eocore", points["eocore"], "lmms_eval.models").load()()
    module, _, name = found.chat_class_path.rpartition(".")
    assert found.model_id == "eocore"
    assert getattr(importlib.import_module(module), name).is_simple is False


@pytest.mark.skipif(not HAS_LMMS_EVAL, reason="needs lmms-eval, which no extra brings")
def test_the_real_registry_builds_the_model(our_folder: Path, fresh: None) -> None:
    from lmms_eval.models.registry_v2 import ModelRegistryV2

    from eocore.evaluate.harnesses.lmms_manifest import manifest

    registry = ModelRegistryV2()
    registry.register_manifest(manifest())
    model_class = registry.get_model_class("eocore")
    model = model_class.create_from_arg_string(f"pretrained={our_folder},modalities=sar,device=cpu", {"batch_size": 2})
    assert model.model.modalities == ("sar",)


@pytest.fixture
def vlmevalkit(monkeypatch: pytest.MonkeyPatch, fresh: None) -> Any:
    """The adapter's module beside a stand-in of the harness."""
    stand_in(monkeypatch, vlmeval={}, vlmeval__config={"supported_VLM": {}}, vlmeval__vlm={}, vlmeval__vlm__base={"BaseModel": BaseModel})
    return importlib.import_module(f"{PACKAGE}.vlmevalkit_model")


def test_vlmevalkit_builds_it_by_name_and_gets_the_answer(vlmevalkit: Any, our_folder: Path, tmp_path: Path) -> None:
    vlmevalkit.register("tiny", str(our_folder), max_new_tokens=6, device="cpu")
    model = sys.modules["vlmeval.config"].supported_VLM["tiny"]()  # type: ignore[attr-defined]
    PICTURES[0].save(tmp_path / "a.png")
    PICTURES[1].save(tmp_path / "b.png")
    both = [{"type": "text", "value": "SAR:"}, {"type": "image", "value": str(tmp_path / "b.png")}]
    both += [{"type": "image", "value": str(tmp_path / "a.png")}, {"type": "text", "value": "Is there a road?"}]
    plain = load_model(our_folder, device="cpu")
    expected = plain.predict({"rgb": PICTURES[0], "sar": PICTURES[1]}, "Is there a road?", max_new_tokens=6)
    assert model.generate(both, dataset="XLRS-Bench-lite") == expected.text.strip()
    assert (model.INSTALL_REQ, model.INTERLEAVE, model.use_custom_prompt("x")) == (False, True, False)
    assert sys.modules["vlmeval.vlm"].VlmEvalKitModel is vlmevalkit.VlmEvalKitModel  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="a message holds video"):
        model.generate([{"type": "video", "value": "a.mp4"}])


class Places:
    """What VLMEvalKit's loop asks of a benchmark: a table, and the message of a row."""

    dataset_name = "Places"

    def __init__(self, folder: Path) -> None:
        import pandas

        for number, picture in enumerate(PICTURES[:2]):
            picture.save(folder / f"{number}.png")
        self.folder = folder
        self.data = pandas.DataFrame({"index": [0, 1], "question": ["Is there a road?", "Is there water?"]})

    def __len__(self) -> int:
        return len(self.data)

    def dump_image(self, row: Any) -> list[str]:
        return [str(self.folder / f"{row['index']}.png")]

    def build_prompt(self, row: Any) -> list[dict[str, str]]:
        return [{"type": "image", "value": self.dump_image(row)[0]}, {"type": "text", "value": row["question"]}]


@pytest.mark.skipif(VLMEVALKIT is None, reason="needs VLMEvalKit, which no extra brings")
def test_the_real_loop_of_vlmevalkit_runs_the_model(monkeypatch: pytest.MonkeyPatch, our_folder: Path, fresh: None, tmp_path: Path) -> None:
    root = Path(str(VLMEVALKIT.origin)).parent  # type: ignore[union-attr]
    stand_in(monkeypatch, vlmeval={"__path__": [str(root)]}, vlmeval__config={"supported_VLM": {}})
    stand_in(monkeypatch, vlmeval__vlm={"__path__": [str(root / "vlm")]}, vlmeval__dataset={"DATASET_TYPE": lambda name: "VQA"})
    adapter = importlib.import_module(f"{PACKAGE}.vlmevalkit_model")
    base, inference = importlib.import_module("vlmeval.vlm.base"), importlib.import_module("vlmeval.inference")
    assert base.__file__ == str(root / "vlm" / "base.py")
    assert issubclass(adapter.VlmEvalKitModel, base.BaseModel)
    adapter.register("tiny", str(our_folder), max_new_tokens=6, device="cpu")
    benchmark = Places(tmp_path)
    inference.infer_data("tiny", "tiny", str(tmp_path), benchmark, str(tmp_path / "found.pkl"))
    found = importlib.import_module("vlmeval.smp").load(str(tmp_path / "found.pkl"))
    plain = load_model(our_folder, device="cpu")
    asked = zip(PICTURES, benchmark.data["question"], strict=False)
    expected = [plain.predict({"rgb": picture}, text, max_new_tokens=6).text.strip() for picture, text in asked]
    assert [found[number] for number in (0, 1)] == expected
