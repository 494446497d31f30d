"""Answers and masks: of one question, of several in a batch, of the upstream calls, and of files."""

import dataclasses
import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from earthmind_models import Dictation
from image_making import make_prediction, numbers, write_tif
from PIL import Image
from tolerances import ACROSS_DECODING
from transformers import LogitsProcessor
from video_making import grey_video

from earthmind.model.processing_earthmind import EarthMindProcessor
from earthmind.predictor import EarthMindPredictor, RecordAnswerer, answer_turns, load_model, predict
from eocore.data.records import MaskRef, Record
from eocore.errors import CheckpointError, DataError, LengthError
from eocore.portable.messages import read_turns
from eocore.predict.answers import Prediction, write_prediction
from eocore.predict.image_files import ImageFile, read_images
from eocore.sensors.scene import Scene

QUESTION = "Please segment the water in this image."


class Script(LogitsProcessor):
    """Makes generation write given tokens, row by row; after the last of a row its end."""

    def __init__(self, rows: Sequence[Sequence[int]], *, prompt_length: int, end: int) -> None:
        self.rows, self.prompt_length, self.end = rows, prompt_length, end

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = input_ids.shape[1] - self.prompt_length
        forced = torch.full_like(scores, -torch.inf)
        for row, tokens in enumerate(self.rows):
            forced[row, tokens[step] if step < len(tokens) else self.end] = 0.0
        return forced


@pytest.fixture(scope="module")
def keen(make_tiny: Callable[..., Any]) -> Any:
    """A tiny model whose masks follow the [SEG] state: with random norms and small prompts they would hardly move."""
    made = make_tiny()
    with torch.no_grad():
        for name, parameter in made.model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.fill_(1.0)
            elif name.startswith("seg_head.projector"):
                parameter.mul_(5.0)
    return made


def ask(
    tiny: Any, scenes: Sequence[dict[str, Any]], answers: Sequence[str], *, texts: Sequence[str] | None = None, **settings: Any
) -> list[Any]:
    """The tiny model's answers in one batch, its words given, its states and masks its own."""
    processor = tiny.processor
    prompts = [("<image>\n" if images else "") + text for images, text in zip(scenes, texts or [QUESTION] * len(scenes), strict=True)]
    samples = [processor.encode(images, [("user", prompt)], for_generation=True) for images, prompt in zip(scenes, prompts, strict=True)]
    batch = processor.collate(samples, left_pad=True)
    rows = [processor.tokenizer(answer, add_special_tokens=False).input_ids for answer in answers]
    script = Script(rows, prompt_length=batch.input_ids.shape[1], end=processor.tokenizer.eos_token_id)
    sizes = [next(iter(images.values())).pixels.shape[1:] if images else (1, 1) for images in scenes]
    return tiny.model.answer(batch, processor, sizes=sizes, logits_processor=[script], **settings)


def trained_on(tiny: Any, images: dict[str, Any], answer: str) -> torch.Tensor:
    """Mask logits of the same answer as training computes them: whole text at once, no cache."""
    model, processor = tiny.model, tiny.processor
    size = next(iter(images.values())).pixels.shape[1:]
    masks = [np.ones(size, bool)] * answer.count("[SEG]")
    batch = processor.collate([processor.encode(images, [("user", "<image>\n" + QUESTION), ("assistant", answer)], masks=masks)])
    with torch.no_grad():
        chosen: torch.Tensor = model(batch=batch).masks.chosen
    return chosen


def test_masks_of_an_answer_are_those_training_draws(keen: Any, make_scenes: Callable[..., Any]) -> None:
    scenes = make_scenes("multispectral", "sar")
    answer = ask(keen, [scenes], ["Sure, [SEG] and [SEG]."])[0]
    expected = trained_on(keen, scenes, "Sure, [SEG] and [SEG].")
    assert answer.text == "Sure, [SEG] and [SEG]."
    torch.testing.assert_close(answer.mask_logits, expected, **ACROSS_DECODING.close)
    assert (expected[0] - expected[1]).abs().max() > 50 * ACROSS_DECODING.atol  # each [SEG] has a mask of its own
    assert answer.masks.shape == (2, 48, 48) and answer.masks.dtype == bool


def test_batch_with_left_padding_answers_as_one_by_one(keen: Any, make_scenes: Callable[..., Any]) -> None:
    scenes = [make_scenes("multispectral", "sar"), make_scenes("sar", seed=1), {}, make_scenes("rgb", seed=2)]
    texts = [QUESTION, "Segment it.", "What is it?", "Describe the image, all of it, in many words."]
    answers = ["Sure, [SEG].", "[SEG][SEG] here", "water", "the area"]
    together = ask(keen, scenes, answers, texts=texts)
    for index, answer in enumerate(together):
        alone = ask(keen, scenes[index : index + 1], answers[index : index + 1], texts=texts[index : index + 1])[0]
        assert answer.text == alone.text == answers[index]
        assert len(answer.masks) == answers[index].count("[SEG]")
        torch.testing.assert_close(answer.mask_logits, alone.mask_logits, **ACROSS_DECODING.close)


def test_seg_as_the_last_token_allowed_has_its_mask(keen: Any, make_scenes: Callable[..., Any]) -> None:
    scenes = make_scenes("sar")
    long = ask(keen, [scenes], ["[SEG][SEG] and more"], max_new_tokens=64)[0]
    cut = ask(keen, [scenes], ["[SEG][SEG] and more"], max_new_tokens=2)[0]
    assert cut.text == "[SEG][SEG]"
    torch.testing.assert_close(cut.mask_logits, long.mask_logits, **ACROSS_DECODING.close)


def test_seg_beyond_the_limit_has_no_mask(tiny: Any, make_scenes: Callable[..., Any]) -> None:
    answer = ask(tiny, [make_scenes("sar")], ["[SEG][SEG]"], max_new_tokens=1)[0]
    assert answer.text == "[SEG]" and len(answer.masks) == 1


def test_seg_without_an_image_has_no_mask(tiny: Any) -> None:
    answer = ask(tiny, [{}], ["It is [SEG]."])[0]
    assert answer.text == "It is [SEG]." and answer.masks.shape == (0, 1, 1)


def test_text_alone_and_one_sensor_can_be_asked(tiny: Any, make_scenes: Callable[..., Any]) -> None:
    for images in ({}, make_scenes("sar"), make_scenes("rgb")):
        assert isinstance(tiny.model.predict(images, "What is it?", processor=tiny.processor, max_new_tokens=3).text, str)


def test_masks_lie_on_the_grid_of_the_image_they_are_drawn_on(make_tiny: Callable[..., Any], make_scenes: Callable[..., Any]) -> None:
    for order, size in ((["sar", "rgb", "multispectral"], (24, 24)), (["rgb", "sar", "multispectral"], (48, 48))):
        made = make_tiny(processor={"grounding_order": order})
        made.model.generation_config.sequence_bias = [[[made.processor.seg_token_id], 1e4]]
        images = {**make_scenes("rgb"), **make_scenes("sar", size=(24, 24))}
        assert made.model.predict(images, QUESTION, processor=made.processor, max_new_tokens=1).masks.shape == (1, *size)


def test_several_beams_are_refused(tiny: Any, make_scenes: Callable[..., Any]) -> None:
    for name in ("num_beams", "num_return_sequences"):
        with pytest.raises(ValueError, match=f"{name}=2: masks belong to one answer a sample"):
            ask(tiny, [make_scenes("sar")], ["water"], **{name: 2})


def test_model_that_was_not_loaded_names_the_missing_processor(tiny: Any) -> None:
    with pytest.raises(ValueError, match="not loaded from a folder, so no processor"):
        tiny.model.predict({}, "What is it?")


@pytest.fixture(scope="module")
def folder(make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny converted model that answers [SEG] whatever it is asked."""
    from earthmind.export import pack
    from eocore.export.hf import write_checkpoint

    made = make_tiny()
    shipment = pack(SimpleNamespace(model=made.model, processor=made.processor))
    made.model.generation_config.sequence_bias = [[[made.processor.seg_token_id], 1e4]]
    out = tmp_path_factory.mktemp("converted") / "model"
    write_checkpoint(shipment, out, card="# tiny\n")
    return out


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Any:
    return load_model(folder, device="cpu")


def test_loaded_model_is_our_own_class_in_float32(loaded: Any) -> None:
    assert type(loaded).__module__ == "earthmind.model.modeling_earthmind"
    assert loaded.dtype == torch.float32 and not loaded.training


def test_published_calls(loaded: Any) -> None:
    sar, rgb = (Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)) for seed in range(2))
    text = "<image>\nPlease segment the water in this image."
    tokenizer = loaded.processor.tokenizer
    single = loaded.predict_forward(image=rgb, text=text, tokenizer=tokenizer, max_new_tokens=2)
    assert single["prediction"] == "[SEG][SEG]"
    assert [mask.shape for mask in single["prediction_masks"]] == [(1, 40, 60)] * 2
    pair = loaded.predict_forward_multi(image=sar, rgb_image=rgb, text=text, tokenizer=tokenizer, max_new_tokens=1)
    assert pair["prediction"] == "[SEG]" and pair["prediction_masks"][0].dtype == bool
    same = loaded.predict({"sar": sar, "rgb": rgb}, text, max_new_tokens=1)
    assert (pair["prediction_masks"][0][0] == same.masks[0]).all()


def test_published_calls_refuse_what_they_do_not_know(loaded: Any, make_tokenizer: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'temperature'"):
        loaded.predict_forward(text="What is it?", temperature=2.0)
    with pytest.raises(ValueError, match=r"the tokenizer has \d+ tokens, the one saved with the model \d+"):
        loaded.predict_forward(text="What is it?", tokenizer=make_tokenizer(whole_marks=False))


def test_answers_end_at_a_mark_of_several_tokens(make_tokenizer: Callable[..., Any], make_tiny: Callable[..., Any], tmp_path: Path) -> None:
    from earthmind.export import AUTO_MAP, pack
    from earthmind.model.modeling_earthmind import EarthMindForConditionalGeneration
    from earthmind.model.processing_earthmind import EarthMindProcessor
    from earthmind.model.processor_options import ProcessorOptions

    made = make_tiny()
    tokenizer = make_tokenizer(whole_marks=False)
    options = ProcessorOptions(tile_size=32, tile_tokens=made.model.config.tile_grid, grounding_size=64, max_tiles=1)
    words = EarthMindProcessor(tokenizer, options)
    task = SimpleNamespace(model=made.model, processor=words)
    assert pack(task).auto_map == AUTO_MAP
    made.model.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    model = EarthMindForConditionalGeneration.from_pretrained(tmp_path)
    assert model.generation_config.stop_strings == ["<|end|>"]
    prompt = tokenizer("What is it?", return_tensors="pt").input_ids
    script = Script([tokenizer("water<|end|>and more").input_ids], prompt_length=prompt.shape[1], end=1)
    sequence = model.generate(prompt, logits_processor=[script], max_new_tokens=40)
    assert tokenizer.decode(sequence[0, prompt.shape[1] :]) == "water<|end|>"
    assert words.decode_answer(sequence[0, prompt.shape[1] :]) == "water"


def test_a_band_the_model_needs_and_the_file_lacks_is_named(loaded: Any, tmp_path: Path) -> None:
    path = write_tif(tmp_path / "some.tif", numbers(2, "uint16"))
    scenes = read_images({"optical": ImageFile((path,), "sentinel2_l2a", ("B02", "B03"))})
    with pytest.raises(DataError, match="the model cannot answer this: band B04 is missing"):
        predict(loaded, scenes, text=QUESTION)


def test_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not a converted model \(it has no config.json\)"):
        load_model(tmp_path)


def test_files_to_map_layers(loaded: Any, shared_dir: Path, tmp_path: Path) -> None:
    name = "38D_378R_2_3.tif"
    optical, sar = shared_dir / "tiles" / "S2L2A" / name, shared_dir / "tiles" / "S1RTC" / name
    scenes = read_images({"optical": ImageFile((str(optical),)), "sar": ImageFile((str(sar),), sensor="sentinel1_rtc")})
    prediction = predict(loaded, scenes, text=QUESTION, max_new_tokens=1)
    assert prediction.text == "[SEG]" and prediction.grid == "sar"
    write_prediction(prediction, tmp_path)
    with rasterio.open(tmp_path / "mask_01.tif") as mask, rasterio.open(sar) as image:
        assert mask.crs == image.crs and mask.transform == image.transform and mask.shape == image.shape


@pytest.fixture
def tool(repo_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("predict_tool", repo_root / "tools" / "predict.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_tool(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> int:
    monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, arguments)])
    status: int = tool.COMMAND()
    return status


def test_tool_prints_the_answer_and_its_files(
    tool: ModuleType, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    optical = write_tif(tmp_path / "s2.tif", numbers(12, "uint16"))
    sar = write_tif(tmp_path / "s1.tif", numbers(2, "float32"))
    out = tmp_path / "out"
    request = [
        folder,
        "--optical",
        optical,
        "--sar",
        sar,
        "--sensor",
        "sar=sentinel1_rtc",
        "--text",
        QUESTION,
        "--out",
        out,
        "--device",
        "cpu",
    ]
    assert run_tool(tool, monkeypatch, *request, "--max-new-tokens", 2) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "[SEG][SEG]" and f"  {out / 'mask_02.tif'}" in shown and f"  {out / 'overlay.png'}" in shown
    assert json.loads((out / "answer.json").read_text())["images"]["sar"]["sensor"] == "sentinel1_rtc"
    assert run_tool(tool, monkeypatch, *request) == 1
    assert "DataError" in (shown := capsys.readouterr().err) and "--overwrite" in shown


def test_tool_says_that_an_answer_is_empty(
    tool: ModuleType, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    optical = write_tif(tmp_path / "s2.tif", numbers(12, "uint16"))
    monkeypatch.setattr(EarthMindPredictor, "predict", lambda *_, **__: dataclasses.replace(make_prediction(num_masks=0), text=""))
    assert run_tool(tool, monkeypatch, folder, "--optical", optical, "--text", QUESTION, "--out", tmp_path / "out") == 0
    assert capsys.readouterr().out.splitlines()[0] == "(the model's answer is empty)"
    assert (tmp_path / "out" / "answer.txt").read_text().strip() == ""


def test_generation_options_of_the_tool_reach_the_model(
    tool: ModuleType, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], loaded: Any
) -> None:
    picture = write_tif(tmp_path / "picture.tif", numbers(3, "uint8"))
    request = [folder, "--rgb", picture, "--text", QUESTION, "--out", tmp_path / "out", "--device", "cpu", "--max-new-tokens", 2]
    silent = f"suppress_tokens=[{loaded.processor.seg_token_id}]"
    assert run_tool(tool, monkeypatch, *request, "--generation", silent, "cache_implementation=static") == 0
    assert "[SEG]" not in capsys.readouterr().out
    assert run_tool(tool, monkeypatch, *request, "--overwrite", "--generation", "temprature=0.1") == 1
    assert "ConfigError: generation option temprature=0.1: there is no such option" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sensor", "sar"], "ConfigError: --sensor sar: expected INPUT=VALUE, with INPUT one of optical, rgb, multispectral, sar."),
        (["--bands", "radar=VV"], "ConfigError: --bands radar=VV: expected INPUT=VALUE"),
        (["--sensor", "sar=sentinel1_grd"], "ConfigError: --sensor sar=...: no --sar image is given. Inputs given: none."),
        (["--rgb", "none.png"], "DataError: none.png: no such file"),
        (["--image", "dem=none.tif"], "this model reads no image of role 'dem'; its roles: rgb, multispectral, sar."),
    ],
)
def test_tool_says_what_is_wrong(
    tool: ModuleType,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert run_tool(tool, monkeypatch, folder, "--text", "?", "--out", tmp_path / "out", *arguments) == 1
    assert message in capsys.readouterr().err


def record(number: int, *turns: str, **parts: Any) -> Record:
    return Record(f"s{number}", (), read_turns(turns), source=f"f#{number}", **parts)


@pytest.fixture
def samples(make_scenes: Callable[..., Any]) -> list[Any]:
    """Records of unlike sensors and lengths, the first with a second question, the last of text alone."""
    made = [make_scenes("rgb", "sar"), make_scenes("sar", seed=2, size=(30, 60)), make_scenes("multispectral", seed=3)]
    scenes = [[Scene(scene.pixels, scene.bands, "", scene.unit, role=role) for role, scene in group.items()] for group in made]
    region = MaskRef("box", [0, 0, 20, 20])
    return [
        (record(0, "<image>\nsegment the water in this image.", "Sure, [SEG].", "And what else?", "Nothing."), scenes[0]),
        (record(1, "<image>\nWhat?"), scenes[1]),
        (record(2, "<image>\nWhat is <region>?", regions=(region,)), scenes[2]),
        (record(3, "Hello"), []),
    ]


def test_a_batch_answers_as_each_record_alone(tiny: Any, samples: list[Any]) -> None:
    answerer = RecordAnswerer(tiny.model, tiny.processor, max_new_tokens=6)
    together = answerer(samples)
    alone = [answerer([sample])[0] for sample in samples]
    assert [answer.text for answer in together] == [answer.text for answer in alone]
    for first, second in zip(together, alone, strict=True):
        assert first.masks.shape == second.masks.shape
        torch.testing.assert_close(first.mask_logits, second.mask_logits, **ACROSS_DECODING.close)


def test_a_record_beyond_the_positions_is_named(tiny: Any, samples: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny.model.config.text_config, "max_position_embeddings", 30)
    answerer = RecordAnswerer(tiny.model, tiny.processor)
    with pytest.raises(LengthError, match=r"f#0: s0: \d+ tokens .* but the model has positions for 29 and an answer"):
        answerer.prepare(samples[0])
    assert answerer.prepare(samples[3]).sample_id == "s3"


@pytest.mark.parametrize(("side", "told"), [(600, True), (40, False)])
def test_a_scene_much_larger_than_the_view_says_what_is_lost(
    loaded: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], side: int, told: bool
) -> None:
    path = write_tif(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 256, (3, side, side)).astype(np.uint8))
    predict(loaded, read_images({"optical": ImageFile((str(path),))}), text="What?", max_new_tokens=1)
    error = capsys.readouterr().err
    assert told == ("m cannot be seen. Ask about parts of it (--window" in error) == (f"the rgb image has {side} x {side} px" in error)


def test_the_last_question_is_asked_with_what_is_shown_and_said_before_and_nothing_more(
    tiny: Any, samples: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(tiny.model, "answer", lambda batch, processor, **settings: asked.append({"batch": batch, **settings}) or [])
    RecordAnswerer(tiny.model, tiny.processor, max_new_tokens=9)(samples)
    (call,) = asked
    assert call["sizes"] == [(48, 48), (30, 60), (48, 48), (1, 1)] and call["max_new_tokens"] == 9
    ids, mask = call["batch"].input_ids, call["batch"].attention_mask.bool()
    texts = [tiny.tokenizer.decode(row[keep]).replace("<IMG_CONTEXT>", "") for row, keep in zip(ids, mask, strict=True)]
    said = "<|user|>\n<img></img>\nsegment the water in this image.<|end|>\n<|assistant|>\nSure, [SEG].<|end|>\n"
    assert texts[0] == f"{said}<|user|>\nAnd what else?<|end|>\n<|assistant|>\n"
    assert texts[3] == "<|user|>\nHello<|end|>\n<|assistant|>\n"
    assert "What is <vp></vp>?" in texts[2]


def test_masks_have_the_size_of_the_image(make_tiny: Callable[..., Any], samples: list[Any]) -> None:
    """A model that says nothing but [SEG]."""
    made = make_tiny(tie=False)
    head = torch.nn.Linear(32, len(made.tokenizer))
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.bias[made.processor.seg_token_id] = 9.0
    made.model.set_output_embeddings(head)
    answers = RecordAnswerer(made.model, made.processor, max_new_tokens=2)(samples)
    assert [answer.text for answer in answers] == ["[SEG][SEG]"] * 4
    assert [answer.masks.shape for answer in answers] == [(2, 48, 48), (2, 30, 60), (2, 48, 48), (0, 1, 1)]
    assert all(answer.masks.dtype == np.bool_ for answer in answers)


def test_a_cache_of_fixed_size_gives_the_same_answers(tiny: Any, samples: list[Any]) -> None:
    usual = RecordAnswerer(tiny.model, tiny.processor, max_new_tokens=6)(samples)
    fixed = RecordAnswerer(tiny.model, tiny.processor, max_new_tokens=6, generation={"cache_implementation": "static"})(samples)
    assert [answer.text for answer in fixed] == [answer.text for answer in usual]
    for first, second in zip(fixed, usual, strict=True):
        torch.testing.assert_close(first.mask_logits, second.mask_logits, **ACROSS_DECODING.close)


def test_many_images_are_answered_as_each_alone(
    tool: ModuleType, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], loaded: Any
) -> None:
    (tmp_path / "in").mkdir()
    pixels = numbers(3, "uint8")
    pictures = [write_tif(tmp_path / "in" / f"{number}.tif", np.roll(pixels, number, axis=2)) for number in range(3)]
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    request = [folder, "--inputs", tmp_path / "in", "--text", QUESTION, "--out", tmp_path / "out", "--device", "cpu", "--max-new-tokens", 2]
    assert run_tool(tool, monkeypatch, *request, "--batch-size", 2, "--format", "csv") == 1
    said = capsys.readouterr().out
    assert "1 of 4 items have no answer (broken); the same command tries them again" in said and "read as 3 rgb rgb_uint8" in said
    lines = {line["id"]: line for line in map(json.loads, (tmp_path / "out" / "answers.jsonl").read_text().splitlines())}
    for number, picture in enumerate(pictures):
        alone = predict(loaded, read_images({"rgb": ImageFile((picture,))}), text=QUESTION, max_new_tokens=2)
        assert lines[str(number)]["answer"] == alone.text
        drawn = np.stack([np.asarray(Image.open(tmp_path / "out" / mask["files"][0])) > 0 for mask in lines[str(number)]["masks"]])
        assert drawn.shape == alone.masks.shape and (drawn != alone.masks).mean() < 0.01
    (tmp_path / "in" / "broken.png").unlink()
    monkeypatch.setattr(EarthMindPredictor, "answerer", None)  # nothing is left to answer
    assert run_tool(tool, monkeypatch, *request) == 0
    assert run_tool(tool, monkeypatch, *request, "--sensor", "sar=sentinel1_grd") == 1
    assert "--sensor sar=...: no --sar image is given. Inputs given: optical" in capsys.readouterr().err


def test_a_series_is_answered_and_its_masks_lie_on_the_images_that_are_named(keen: Any, capsys: pytest.CaptureFixture[str]) -> None:
    days = ("2021-03-04", "2021-06-01")
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3, 40, 48)).astype(np.float32)
    scenes = {
        f"rgb {day}": Scene(layers, ("red", "green", "blue"), "rgb_uint8", "uint8", role="rgb", time=day, path=f"{day}.png")
        for day, layers in zip(days, pixels, strict=True)
    }
    text = f"[SEG] and on {days[0]} [SEG]"
    ids = keen.tokenizer(text, add_special_tokens=False).input_ids
    end = keen.tokenizer.convert_tokens_to_ids("<|end|>")
    keen.model._processor = keen.processor

    def ask_series(question: str) -> Prediction:
        settings = {"logits_processor": [Dictation([[*ids, end]])]}
        return answer_turns(keen.model, scenes, turns=[("user", question)], max_new_tokens=40, settings=settings)

    answer = ask_series("Segment it.")
    assert answer.text == text and answer.grid == f"rgb {days[0]}"
    assert list(answer.drawn_on) == [f"rgb {days[1]}", f"rgb {days[0]}"] and answer.masks.shape == (2, 40, 48)
    ask_series(f"Segment what is new on {days[0]} since 2019-01-01.")
    assert "of which there is no image" not in capsys.readouterr().err
    assert list(ask_series("Segment it on 2021-03-05.").drawn_on) == list(answer.drawn_on)
    assert "the question names 2021-03-05, of which there is no image (there are: 2021-03-04, 2021-06-01)" in capsys.readouterr().err


def test_a_video_is_asked_about_by_the_frames_that_the_command_names(
    tool: ModuleType, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("av", reason="extra video is not installed")
    video = grey_video(tmp_path / "a.mp4", 30)
    asked: list[str] = []
    encode = EarthMindProcessor.encode

    def keep_prompt(processor: EarthMindProcessor, *given: Any, **more: Any) -> Any:
        sample = encode(processor, *given, **more)
        asked.append(processor.tokenizer.decode(sample.input_ids))
        return sample

    monkeypatch.setattr(EarthMindProcessor, "encode", keep_prompt)

    request = [folder, "--video", video, "--text", QUESTION, "--out", tmp_path / "out", "--device", "cpu", "--max-new-tokens", 2]
    assert run_tool(tool, monkeypatch, *request, "--max-frames", 4) == 0
    images = json.loads((tmp_path / "out" / "answer.json").read_text())["images"]
    assert list(images) == [f"rgb frame {number}" for number in range(1, 5)]
    assert [image["time"] for image in images.values()] == [f"frame {number}" for number in range(1, 5)]
    assert all(f"frame {number} rgb: " in asked[0] for number in range(1, 5)) and "frame 5" not in asked[0]
    assert run_tool(tool, monkeypatch, *request, "--overwrite", "--max-frames", 1) == 0
    assert list(json.loads((tmp_path / "out" / "answer.json").read_text())["images"]) == ["rgb"]
    (tmp_path / "b.mp4").write_text("no video")
    assert run_tool(tool, monkeypatch, *request[:2], tmp_path / "b.mp4", *request[3:], "--overwrite") == 1
    assert "b.mp4: cannot be read as a video" in capsys.readouterr().err
