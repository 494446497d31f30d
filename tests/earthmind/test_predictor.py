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
from PIL import Image
from rasterio.transform import from_origin
from tolerances import ACROSS_DECODING
from transformers import LogitsProcessor

from earthmind.predictor import EarthMindPredictor, load_model, predict
from eocore.errors import BandError, CheckpointError, ConfigError, DataError
from eocore.predict.answers import Prediction, write_prediction
from eocore.predict.image_files import ImageFile, read_images, tell_sensor
from eocore.sensors.scene import Georeference, Scene

QUESTION = "Please segment the water in this image."
GRID = (500_000.0, 6_000_000.0)


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


def write_tif(path: Path, pixels: np.ndarray, *, corner: tuple[float, float] = GRID, gsd_m: float = 10.0, crs: str = "EPSG:32632") -> str:
    count, height, width = pixels.shape
    transform = from_origin(*corner, gsd_m, gsd_m)
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=pixels.dtype, crs=crs, transform=transform
    ) as target:
        target.write(pixels)
    return str(path)


def numbers(count: int, dtype: str, size: tuple[int, int] = (30, 40)) -> np.ndarray:
    low, high = {"uint16": (1, 9000), "uint8": (0, 255), "float32": (-25, -5)}[dtype]
    return np.random.default_rng(0).uniform(low, high, (count, *size)).astype(dtype)


@pytest.mark.parametrize(
    ("name", "count", "dtype", "sensor"),
    [
        ("optical", 12, "uint16", "sentinel2_l2a"),
        ("optical", 13, "uint16", "sentinel2_l1c"),
        ("optical", 3, "uint8", "rgb_uint8"),
        ("sar", 2, "float32", "sentinel1_grd"),
        ("sar", 1, "uint8", "grey_uint8"),
    ],
)
def test_sensor_is_told_from_a_file(tmp_path: Path, name: str, count: int, dtype: str, sensor: str) -> None:
    assert tell_sensor(name, [write_tif(tmp_path / "image.tif", numbers(count, dtype))]) == sensor


@pytest.mark.parametrize(("name", "count", "dtype"), [("optical", 4, "uint16"), ("optical", 12, "float32"), ("sar", 3, "float32")])
def test_sensor_is_not_guessed(tmp_path: Path, name: str, count: int, dtype: str) -> None:
    path = write_tif(tmp_path / "image.tif", numbers(count, dtype))
    with pytest.raises(BandError, match=f"{count} layers of {dtype} do not tell the sensor.*--sensor {name}=NAME"):
        tell_sensor(name, [path])


def test_optical_becomes_the_modality_of_its_sensor(tmp_path: Path) -> None:
    bands = write_tif(tmp_path / "bands.tif", numbers(12, "uint16"))
    picture = write_tif(tmp_path / "picture.tif", numbers(3, "uint8"))
    assert list(read_images({"optical": ImageFile((bands,))})) == ["multispectral"]
    assert list(read_images({"optical": ImageFile((picture,))})) == ["rgb"]
    newer = read_images({"optical": ImageFile((bands,), sensor="sentinel2_l2a_pb0400")})["multispectral"]
    plain = read_images({"optical": ImageFile((bands,))})["multispectral"]
    np.testing.assert_allclose(plain.pixels - newer.pixels, 0.1, atol=1e-6)
    with pytest.raises(ConfigError, match="--rgb is a rgb image, and another one is given"):
        read_images({"optical": ImageFile((picture,)), "rgb": ImageFile((picture,))})


def test_images_of_two_places_are_refused(tmp_path: Path) -> None:
    here = ImageFile((write_tif(tmp_path / "here.tif", numbers(12, "uint16")),))
    there = ImageFile((write_tif(tmp_path / "there.tif", numbers(2, "float32"), corner=(500_400.0, 6_000_000.0)),))
    with pytest.raises(DataError, match=r"here.tif and .*there.tif do not cover the same ground.*40.0 pixels"):
        read_images({"optical": here, "sar": there})


def test_a_band_the_model_needs_and_the_file_lacks_is_named(loaded: Any, tmp_path: Path) -> None:
    path = write_tif(tmp_path / "some.tif", numbers(2, "uint16"))
    scenes = read_images({"optical": ImageFile((path,), "sentinel2_l2a", ("B02", "B03"))})
    with pytest.raises(DataError, match="the model cannot answer this: band B04 is missing"):
        predict(loaded, scenes, text=QUESTION)


def test_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not a converted model \(it has no config.json\)"):
        load_model(tmp_path)


def make_prediction(*, place: bool = True, num_masks: int = 2) -> Prediction:
    reference = Georeference(rasterio.crs.CRS.from_epsg(32632).to_wkt(), (10.0, 0.0, 500_000.0, 0.0, -10.0, 6_000_000.0)) if place else None
    pixels = np.random.default_rng(0).uniform(-20, 0, (2, 30, 40)).astype(np.float32)
    sar = Scene(pixels, ("VV", "VH"), "sentinel1_grd", "sigma0_db", 10.0, reference, "sar.tif")
    masks = np.zeros((num_masks, 30, 40), bool)
    for number, mask in enumerate(masks):
        mask[: 5 * (number + 1), 3:9] = True
    return Prediction("the [SEG]", masks, "sar", {"sar": sar})


def test_masks_with_a_place_are_written_as_map_layers(tmp_path: Path) -> None:
    prediction = make_prediction()
    files = write_prediction(prediction, tmp_path / "out")
    names = ["answer.json", "answer.txt", "mask.png", "mask.tif", "mask_01.png", "mask_01.tif", "mask_02.png", "mask_02.tif", "overlay.png"]
    assert sorted(file.name for file in files) == sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    with rasterio.open(tmp_path / "out" / "mask_02.tif") as mask:
        assert mask.crs.to_epsg() == 32632 and mask.dtypes == ("uint8",) and mask.nodata is None
        assert tuple(mask.transform)[:6] == (10.0, 0.0, 500_000.0, 0.0, -10.0, 6_000_000.0)
        assert mask.compression.name == "deflate"
        assert (mask.read(1) == prediction.masks[1]).all()
    png = np.asarray(Image.open(tmp_path / "out" / "mask.png"))
    assert (png == 255 * prediction.masks.any(0)).all()
    about = json.loads((tmp_path / "out" / "answer.json").read_text())
    assert about["text"] == "the [SEG]" and about["masks_on"] == "sar" and about["mask_pixels"] == {"mask_01": 30, "mask_02": 60}
    assert about["images"]["sar"] == {"path": "sar.tif", "sensor": "sentinel1_grd", "bands": ["VV", "VH"], "size": [30, 40]}
    assert (tmp_path / "out" / "answer.txt").read_text() == "the [SEG]\n"


def test_overlay_tints_the_masks_on_the_image(tmp_path: Path) -> None:
    write_prediction(make_prediction(num_masks=1), tmp_path)
    overlay = np.asarray(Image.open(tmp_path / "overlay.png")).astype(int)
    assert overlay.shape == (30, 40, 3)
    assert (overlay[15:].max(-1) == overlay[15:].min(-1)).all()  # radar is grey outside
    assert (overlay[1:4, 4:8, 0] > overlay[1:4, 4:8, 1]).all()  # the mask's colour has no green


def test_overlay_on_a_finer_image_has_the_masks_size(tmp_path: Path) -> None:
    prediction = make_prediction()
    rgb = Scene(np.full((3, 60, 80), 90.0, np.float32), ("red", "green", "blue"), "rgb_uint8", "uint8")
    write_prediction(Prediction(prediction.text, prediction.masks, "sar", {"rgb": rgb, **prediction.scenes}), tmp_path)
    overlay = np.asarray(Image.open(tmp_path / "overlay.png"))
    assert overlay.shape == (30, 40, 3) and (overlay[20, 20] == 90).all()


def test_masks_without_a_place_are_pictures_alone(tmp_path: Path) -> None:
    names = {file.name for file in write_prediction(make_prediction(place=False), tmp_path)}
    assert not any(name.endswith(".tif") for name in names) and "mask_02.png" in names


def test_answer_without_masks_is_text_alone(tmp_path: Path) -> None:
    assert [file.name for file in write_prediction(make_prediction(num_masks=0), tmp_path)] == ["answer.txt", "answer.json"]


def test_earlier_prediction_is_kept_or_replaced_whole(tmp_path: Path) -> None:
    write_prediction(make_prediction(num_masks=3), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds an earlier prediction \(answer.json, ...\).*--overwrite"):
        write_prediction(make_prediction(num_masks=1), tmp_path)
    write_prediction(make_prediction(num_masks=1), tmp_path, overwrite=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert "mask_02.png" not in left and "mask_03.tif" not in left and "notes.txt" in left


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
    ],
)
def test_tool_says_what_is_wrong(
    tool: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert run_tool(tool, monkeypatch, tmp_path, "--text", "?", "--out", tmp_path / "out", *arguments) == 1
    assert message in capsys.readouterr().err
