"""Wrong data and wrong configs, as a training meets them: each ends in one error of the framework that names place and remedy."""

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from earthmind.task import EarthMindTask
from eocore.data.io.masks import encode_rle
from eocore.errors import AlignmentError, AnnotationError, BandError, ConfigError, DataError, EOError, LengthError
from eocore.log import get_logger
from eocore.portable.messages import read_turns

SIZE = 48
BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")


class Place:
    """One image of each sensor called `a`, an annotation file for each format, and the loader that a training would read them by."""

    def __init__(self, folder: Path, make_task: Callable[..., EarthMindTask]) -> None:
        self.folder, self.make_task = folder, make_task
        rng = np.random.default_rng(0)
        for name in ("s2", "s1", "rgb"):
            (folder / name).mkdir()
        self.write_raster("s2/a.tif", rng.integers(0, 4000, (12, SIZE, SIZE)).astype(np.int16), names=BANDS)
        self.write_raster("s1/a.tif", rng.uniform(-20, 0, (2, SIZE, SIZE)).astype(np.float32), names=("VV", "VH"))
        Image.fromarray(rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(folder / "rgb" / "a.png")

    def write_raster(self, path: str, layers: np.ndarray, *, names: tuple[str, ...] = ()) -> None:
        profile = {"driver": "GTiff", "count": len(layers), "height": SIZE, "width": SIZE, "dtype": layers.dtype.name}
        with rasterio.open(self.folder / path, "w", **profile) as file:
            file.write(layers)
            file.descriptions = names or (None,) * len(layers)

    def images(self, *modalities: str) -> dict[str, Any]:
        sources = {
            "rgb": {"root": str(self.folder / "rgb"), "pattern": "{stem}.png", "sensor": "rgb_uint8"},
            "multispectral": {"root": str(self.folder / "s2"), "sensor": "sentinel2_l2a"},
            "sar": {"root": str(self.folder / "s1"), "sensor": "sentinel1_grd"},
        }
        return {name: sources[name] for name in modalities}

    def vqa(self, question: str = "<image>\nWhat?", answer: str = "Water.", image: str = "a.png", *, shown: str = "rgb") -> dict[str, Any]:
        """Config of a data set of one question."""
        entry = {"id": "q0", "image": image, "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]}
        (self.folder / "vqa.json").write_text(json.dumps([entry]))
        return {"type": "LlavaDataset", "annotations": str(self.folder / "vqa.json"), "images": self.images(shown)}

    def phrase(self, mask: Any, **transform: Any) -> dict[str, Any]:
        """Config of a data set of one phrase."""
        entry = {"sample_id": "p0", "image": "a", "height": SIZE, "width": SIZE, "expression": "the water", "mask": mask}
        (self.folder / "phrases.jsonl").write_text(json.dumps(entry) + "\n")
        compose = {"type": "ComposeReferring", "num_expressions": 1, **transform}
        return {
            "type": "ReferringJsonlDataset",
            "annotations": str(self.folder / "phrases.jsonl"),
            "images": self.images("rgb"),
            "transforms": [compose],
        }

    def first_batch(self, data: Mapping[str, Any], *, num_workers: int = 0, **choices: Any) -> Mapping[str, Any]:
        """The first batch of a training's loader."""
        task = self.make_task(data=data, num_workers=num_workers, **choices)
        return next(iter(task.build_loader(rank=0, world_size=1, seed=0, start_step=0)))


@pytest.fixture
def scene_files(tmp_path: Path, make_task: Callable[..., EarthMindTask]) -> Place:
    return Place(tmp_path, make_task)


def whole_mask(height: int = SIZE) -> dict[str, Any]:
    return encode_rle(np.ones((height, SIZE), bool))


@pytest.mark.parametrize("shown", ["rgb", "multispectral", "sar"])
def test_good_input_passes(scene_files: Place, shown: str) -> None:
    assert scene_files.first_batch(scene_files.vqa(shown=shown)).sample_ids == ["q0"]
    assert scene_files.first_batch(scene_files.phrase(whole_mask())).segments.masks.all()


class TestImages:
    @pytest.mark.parametrize("num_workers", [0, 1])
    def test_missing_file(self, scene_files: Place, num_workers: int) -> None:
        with pytest.raises(DataError, match=r"dataset 'vqa', index 0, sample 'q0' .*vqa.json#0\).*b\.png") as caught:
            scene_files.first_batch(scene_files.vqa(image="b.png"), num_workers=num_workers)
        assert type(caught.value) is DataError

    def test_a_file_that_is_no_image(self, scene_files: Place) -> None:
        (scene_files.folder / "rgb" / "a.png").write_text("<svg/>")
        with pytest.raises(DataError, match=r"sample 'q0'.*a\.png"):
            scene_files.first_batch(scene_files.vqa())

    def test_wrong_number_of_bands(self, scene_files: Place) -> None:
        scene_files.write_raster("s2/a.tif", np.zeros((4, SIZE, SIZE), np.int16))
        with pytest.raises(
            BandError, match=r"sample 'q0'.*a\.tif: 4 unnamed layers, but sentinel2_l2a has 12 bands \(B01, .*Give the names"
        ):
            scene_files.first_batch(scene_files.vqa(shown="multispectral"))

    def test_bands_of_another_sensor(self, scene_files: Place) -> None:
        scene_files.write_raster("s1/a.tif", np.zeros((2, SIZE, SIZE), np.float32), names=("VV", "angle"))
        with pytest.raises(BandError, match=r"sample 'q0'.*called VV, angle, of which sentinel1_grd knows.*correct the sensor"):
            scene_files.first_batch(scene_files.vqa(shown="sar"))

    def test_unknown_band_in_the_presentation(self, scene_files: Place) -> None:
        rule = {"views": [["B04", "B99", "B02"]], "stretch": {"method": "range", "low": 0, "high": 1}}
        with pytest.raises(
            BandError,
            match=r"sample 'q0'.*band B99 is missing: the scene has B01, .*a\.tif\)\. Give a file .*change the presentation's views",
        ):
            scene_files.first_batch(scene_files.vqa(shown="multispectral"), processor={"presentation": {"multispectral": rule}})

    def test_more_channels_than_the_model_takes(self, scene_files: Place) -> None:
        rule = {"views": [["B04", "B03", "B02", "B08"]], "stretch": {"method": "range", "low": 0, "high": 1}}
        with pytest.raises(EOError, match=r"sample 'q0'.*names 4 channels, the patch embedding takes 3; make them agree"):
            scene_files.first_batch(scene_files.vqa(shown="multispectral"), processor={"presentation": {"multispectral": rule}})

    def test_unknown_sensor(self, scene_files: Place) -> None:
        data = scene_files.vqa()
        data["images"]["rgb"]["sensor"] = "sentinel9"
        with pytest.raises(BandError, match=r"sentinel9"):
            scene_files.first_batch(data)


class TestMasks:
    def test_mask_of_another_size_than_its_image(self, scene_files: Place) -> None:
        with pytest.raises(AnnotationError, match=r"sample 'p0'.*phrases.jsonl:1.*RLE of size \[24, 48\].*but the image is \[48, 48\]"):
            scene_files.first_batch(scene_files.phrase(whole_mask(24)))

    def test_the_line_of_a_mask_is_named_where_an_image_has_several(self, scene_files: Place) -> None:
        data = scene_files.phrase(whole_mask())
        entry = json.loads((scene_files.folder / "phrases.jsonl").read_text())
        lines = [entry, entry | {"sample_id": "p1", "mask": {"size": [SIZE, SIZE], "counts": "5"}}]
        (scene_files.folder / "phrases.jsonl").write_text("\n".join(map(json.dumps, lines)))
        data = data | {"group": "image", "transforms": [{"type": "ComposeReferring", "num_expressions": 2}]}
        with pytest.raises(AnnotationError, match=r"phrases.jsonl:1\): .*phrases.jsonl:2: RLE runs sum to 5 px"):
            scene_files.first_batch(data)

    def test_mask_file_of_another_size(self, scene_files: Place) -> None:
        Image.fromarray(np.ones((24, 24), np.uint8)).save(scene_files.folder / "mask.png")
        with pytest.raises(DataError, match=r"sample 'p0'.*mask .*mask.png is 24 x 24 px, but its image is 48 x 48 px"):
            scene_files.first_batch(scene_files.phrase({"path": "mask.png"}))

    def test_more_seg_than_masks(self, scene_files: Place) -> None:
        with pytest.raises(AlignmentError, match=r"vqa.json#0: 2 \[SEG\] in the text but 0 masks; each needs the other. Correct the entry"):
            scene_files.first_batch(scene_files.vqa(answer="[SEG] and [SEG]."))

    def test_more_masks_than_seg(self, scene_files: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """A transform that loses a [SEG] is caught where its record is taken."""
        from eocore.data.transforms import ComposeReferring

        monkeypatch.setattr(ComposeReferring, "__call__", _without_seg(ComposeReferring.__call__))
        with pytest.raises(AlignmentError, match=r"sample 'p0'.*phrases.jsonl:1: 0 \[SEG\] in the text but 1 masks"):
            scene_files.first_batch(scene_files.phrase(whole_mask()))


def _without_seg(call: Callable[..., Any]) -> Callable[..., Any]:
    from dataclasses import replace

    def changed(self: Any, record: Any, rng: np.random.Generator) -> Any:
        made = call(self, record, rng)
        return replace(made, turns=read_turns([turn.text.replace("[SEG]", "it") for turn in made.turns]))

    return changed


class TestText:
    def test_two_places_for_one_image(self, scene_files: Place) -> None:
        with pytest.raises(AnnotationError, match=r"vqa.json#0: <image> stands 2 times in the question but the entry has one image"):
            scene_files.first_batch(scene_files.vqa("<image> <image>\nWhat?"))

    def test_a_region_place_without_a_region(self, scene_files: Place) -> None:
        with pytest.raises(AnnotationError, match=r"vqa.json#0: the question holds a literal <region>"):
            scene_files.first_batch(scene_files.vqa("<image>\nWhat is <region>?"))

    def test_a_vision_token_in_the_annotation(self, scene_files: Place) -> None:
        with pytest.raises(AlignmentError, match=r"sample 'q0'.*the text itself holds <IMG_CONTEXT>, which stands for vision tokens alone"):
            scene_files.first_batch(scene_files.vqa(answer="It is <IMG_CONTEXT>."))

    @pytest.mark.parametrize("limits", [{"max_length": 40}, {"max_length": 1000, "row_length": 40}])
    def test_an_answer_that_would_be_cut(self, scene_files: Place, limits: dict[str, int]) -> None:
        answer = "water and more of it " * 20
        with pytest.raises(LengthError, match=r"sample 'q0'.*q0: \d+ tokens .*at most 40 are allowed; nothing was cut. Raise max_length"):
            scene_files.first_batch(scene_files.vqa(answer=answer), **limits)
        assert scene_files.first_batch(scene_files.vqa(answer=answer), max_length=1000).num_tokens > 40

    def test_an_empty_data_set(self, scene_files: Place) -> None:
        data = scene_files.vqa()
        (scene_files.folder / "vqa.json").write_text("[]")
        with pytest.raises(DataError, match=r"vqa.json: no record for dataset 'vqa'. Check the file and the split"):
            scene_files.first_batch(data)

    def test_an_annotation_file_that_is_not_there(self, scene_files: Place) -> None:
        data = scene_files.vqa()
        (scene_files.folder / "vqa.json").unlink()
        with pytest.raises(DataError, match=r"vqa.json: no such annotation file"):
            scene_files.first_batch(data)

    def test_broken_json(self, scene_files: Place) -> None:
        data = scene_files.phrase(whole_mask())
        with (scene_files.folder / "phrases.jsonl").open("a") as file:
            file.write('{"sample_id": "p1", \n')
        with pytest.raises(AnnotationError, match=r"phrases.jsonl:2: not JSON"):
            scene_files.first_batch(data)


class TestConfigs:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"type": "LlavaDatset"}, r"registry 'dataset' has no 'LlavaDatset'. Did you mean 'LlavaDataset'\? Choices: "),
            ({"annotation": "x.json"}, r"LlavaDataset has no argument 'annotation'. Did you mean 'annotations'\?"),
            ({"transforms": [{"type": "ChoseModalities"}]}, r"registry 'transform' has no 'ChoseModalities'. Did you mean"),
            ({"limit": 0}, r"limit must be at least 1 or None, found 0"),
            (
                {"images": {"radar": {"root": ".", "pattern": "{name}", "sensor": "grey_uint8"}}},
                r"name the role radar, which this model does not",
            ),
        ],
    )
    def test_data(self, scene_files: Place, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            scene_files.first_batch(scene_files.vqa() | change)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"batch_size": 0}, r"task\.batch_size is 0; expected a whole number of at least 1"),
            ({"losses": {"maks": 1.0}}, r"config section 'losses' has no option 'maks'. Did you mean 'mask'\?"),
            ({"trainable": ["projectr"]}, r"trainable pattern 'projectr' matches no parameter.*Nearest names: .*projector"),
            ({"lora": {"target_modules": ["q_prj"]}}, r"LoRA target 'q_prj' matches no linear layer.*Nearest: .*q_proj"),
            ({"model": {"fusoin": "concat"}}, r"model.fusoin is read by nothing: .* Did you mean 'fusion'\?"),
            ({"processor": {"max_tile": 2}}, r"processor: .*'max_tile'"),
        ],
    )
    def test_task(self, scene_files: Place, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            scene_files.first_batch(scene_files.vqa(), **change)


class TestCommand:
    """tools/train.py ends with status 1 and one line, wherever the mistake lies."""

    @pytest.fixture(autouse=True)
    def kept_environment(self) -> Iterator[None]:
        """The command sets the variables of a group of one; later tests must not inherit them."""
        before = dict(os.environ)
        yield
        os.environ.clear()
        os.environ.update(before)

    @pytest.fixture
    def lines(self) -> Iterator[list[str]]:
        seen: list[str] = []
        handler = logging.Handler(logging.ERROR)
        handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
        get_logger().addHandler(handler)
        yield seen
        get_logger().removeHandler(handler)

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ("task.batchsize=2", r"--cfg-options task.batchsize: task has no 'batchsize', .* Did you mean 'task.batch_size'"),
            ("+task.batchsize=2", r"EarthMindTask has no argument 'batchsize'. Did you mean 'batch_size'"),
            ("task.type=EarthMind", r"registry 'task' has no 'EarthMind'. Did you mean 'EarthMindTask'"),
            ("task.model.fusion=sum", r"model: fusion='sum' is unknown; choices: concat, mutual_attention, hca"),
            ("training.deepspeed=zero5", r"no DeepSpeed configuration 'zero5'"),
            ("+trainning.max_iters=2", r"config section 'trainning' is not read by anything. Did you mean 'training'"),
            ("task.data.type=Mixtur", r"registry 'dataset' has no 'Mixtur'. Did you mean 'Mixture'"),
        ],
    )
    def test_typos(
        self,
        repo_root: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        lines: list[str],
        option: str,
        message: str,
    ) -> None:
        from eocore.synthetic.world import write_world
        from eocore.train.device import set_deepspeed_accelerator

        set_deepspeed_accelerator()
        write_world(tmp_path, {"train": 1}, size=SIZE)
        monkeypatch.setenv("SYNTHETIC_ROOT", str(tmp_path))
        config = repo_root / "configs" / "earthmind" / "earthmind_tiny_synthetic.py"
        monkeypatch.setattr(sys, "argv", ["train.py", str(config), "--dry-run", "--cfg-options", option])
        spec = spec_from_file_location("tools_train", repo_root / "tools" / "train.py")
        assert spec is not None and spec.loader is not None
        command = module_from_spec(spec)
        spec.loader.exec_module(command)
        assert command.COMMAND() == 1
        assert len(lines) == 1
        assert re.match(f"ConfigError: {message}", lines[0]), lines[0]
