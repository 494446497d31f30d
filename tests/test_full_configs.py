"""The full-size configs: built on the meta device, their data sets on small files in the upstream layouts."""

import json
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mmengine.config import Config
from PIL import Image

from earthmind.planning.meta_task import outline
from eocore.config import load_config
from eocore.data.dataset import SampleKey
from eocore.data.mixture import Mixture
from eocore.errors import EOError
from eocore.evaluate import datasets as _datasets  # noqa: F401  (registers those of benchmarks, as training does)
from eocore.models.freeze import trainable_names
from eocore.models.quantization import is_marked
from eocore.models.recompute import checkpointing_kind
from eocore.registry import DATASETS
from eocore.sensors.scene import by_role
from eocore.synthetic.test_sets.change import write_levir_cc, write_levir_cd, write_xbd
from eocore.synthetic.test_sets.images import make_scenes
from eocore.system import systems_of_config
from eocore.train.planning.batches import supposed_batches
from eocore.train.planning.estimate import estimate
from eocore.train.planning.plan import plan_run
from eocore.train.schedule import OptimizerOptions, build_optimizer
from eocore.train.task import Task
from ms_clip.planning.meta_task import outline as outline_clip
from ms_clip.planning.meta_task import step_shape
from tests.ssl4eo_files import chunk_file, zip_bytes

ROOT = Path(__file__).resolve().parent.parent
FULL, FULL_CLIP = (
    sorted(path for path in (ROOT / "configs" / system).glob("*.py") if "_tiny_" not in path.name) for system in ("earthmind", "ms_clip")
)
SIZE = 40
WEIGHTS = {"rrsisd": 3.0, "refsegrs": 3.0, "risbench": 3.0, "rsvg_regions": 5.0}
"""Sets that the upstream config names more than once. Source: EarthMind, projects/llava_sam2/configs/earthmind_4b_sft.py."""
PUBLISHED = ("language_model", "projector.", "fusion.", "seg_head.projector.", "seg_head.sam.mask_decoder.")

whole_mixture = pytest.mark.parametrize(
    "path", [path for path in FULL if not {"pairs", "series"} & set(path.stem.split("_"))], ids=lambda path: path.stem
)
"""Of the stages that train on all upstream sets; those of pairs and series have sets of their own."""
full_clip = pytest.mark.parametrize("path", FULL_CLIP, ids=lambda path: path.stem)
full_config = pytest.mark.parametrize("path", FULL, ids=lambda path: path.stem)
SQUARE = [[4.0, 4.0, 20.0, 4.0, 20.0, 20.0, 4.0, 20.0]]


def draw(path: Path, layers: int = 3) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (SIZE, SIZE, layers) if layers > 1 else (SIZE, SIZE)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)).save(path)


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_refer(folder: Path, instances: str, image: str) -> None:
    """REFER files of two phrases about one image, one of the training split."""
    write(
        folder / instances,
        {
            "images": [{"id": 1, "file_name": image, "height": SIZE, "width": SIZE}],
            "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "segmentation": SQUARE, "bbox": [4, 4, 16, 16], "area": 256}],
            "categories": [{"id": 1, "name": "ship"}],
        },
    )
    refs = [
        {
            "ref_id": number,
            "ann_id": 7,
            "image_id": 1,
            "category_id": 1,
            "split": split,
            "file_name": image,
            "sentences": [{"sent_id": number, "sent": "the ship", "raw": "The ship.", "tokens": ["the", "ship"]}],
        }
        for number, split in enumerate(["train", "test"])
    ]
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs))


def write_questions(path: Path, image: str) -> None:
    talk = [{"from": "human", "value": "<image>\nIs there a ship?"}, {"from": "gpt", "value": "Yes."}]
    write(path, [{"id": "1", "image": image, "conversations": talk}])


def write_regions(path: Path, image: str) -> None:
    entry = {"file_name": image, "height": SIZE, "width": SIZE, "description": ["a ship"], "annotation": [{"segmentation": SQUARE}]}
    write(path, [entry])


@pytest.fixture(scope="module")
def published_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ as data/README.md draws it, with one sample a set."""
    root = tmp_path_factory.mktemp("data")
    for name, instances in (("rrsisd", "instances_new.json"), ("refsegrs", "instances.json"), ("risbench", "instances.json")):
        write_refer(root / "Refer_Segm" / name, instances, "a.jpg")
        draw(root / "Refer_Segm" / name / "images" / "a.jpg")
    write_refer(root / "vrsbench_seg", "instances.json", "a.png")
    draw(root / "vrsbench_seg" / "images" / "a.png")
    write_refer(root / "Refer_Segm" / "sarnew", "instances.json", "a.jpg")
    draw(root / "Refer_Segm" / "sarnew" / "rgb" / "a.jpg")
    draw(root / "Refer_Segm" / "sarnew" / "sar" / "a.png", layers=1)
    write_questions(root / "vrsbenchvqa" / "annotations" / "vqatrain.json", "a.png")
    draw(root / "vrsbenchvqa" / "Images_train" / "a.png")
    write_questions(root / "earthgptvqa" / "annotations" / "train.json", "set/a.jpg")
    draw(root / "earthgptvqa" / "images" / "set" / "a.jpg")
    write_questions(root / "geochatdata" / "GeoChatvqa.json", "a.png")
    write_regions(root / "geochatdata" / "GeoChatregion_train_cleaned.json", "a.png")
    draw(root / "GeoChat_finetuning" / "final_images_llava" / "a.png")
    write_questions(root / "multi-spectrum" / "ms_train.json", "patch.png")
    for number in range(1, 5):
        draw(root / "multi-spectrum" / "rgb_images" / "patch" / f"rgb_{number}.png")
    write_questions(root / "pair_data" / "train" / "final_all.json", "a.png")
    for sensor, layers in (("rgb", 3), ("sar", 1)):
        draw(root / "pair_data" / "train" / sensor / "img" / "a.png", layers)
    write_regions(root / "region_caption" / "rsvg_train.json", "a.jpg")
    draw(root / "region_caption" / "rsvg" / "images" / "a.jpg")
    return root


def read(path: Path) -> Config:
    config = load_config(path)
    systems_of_config(config)
    return config


def part(task: Task, name: str) -> int:
    return {count.name: count.total for count in task.parameter_table()}[name]


def test_there_are_configs() -> None:
    names = {path.stem.removeprefix("earthmind_") for path in FULL}
    assert names >= {"4b_sft", "4b_sft_zero3", "4b_sft_48gb", "4b_sft_24gb", "4b_full", "4b_continue", "1b_sft", "8b_qlora_24gb"}


@pytest.mark.parametrize("path", [*FULL, *FULL_CLIP], ids=lambda path: path.stem)
def test_it_states_its_memory_and_for_which_gpus(path: Path) -> None:
    head = "\n".join(path.read_text().splitlines()[:3])
    what = r"rows of 8,192 tokens" if path in FULL else r"[\d,]+ pairs of texts of 77 tokens"
    memory = re.search(rf"^# Memory: ([\d.]+) GiB on each GPU with {what} \(tools/estimate_memory.py THIS --gpus (\d+)\)", head, re.M)
    size = re.search(r"(?:\d+ x|one GPU of) (\d+) GB", head)
    assert memory is not None and size is not None
    # a GPU sold with 80 GB has 80e9 bytes or more; a tenth stays free
    assert float(memory[1]) * 2**30 < 0.9 * float(size[1]) * 1e9
    assert head.splitlines()[1].endswith(f" {memory[2]}"), "the command of the header trains on as many"


@whole_mixture
def test_its_data_sets_read_the_published_layouts(path: Path, published_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHMIND_DATA", str(published_data))
    mixture = DATASETS.build(read(path).task.data)
    assert isinstance(mixture, Mixture) and len(mixture.parts) == 12
    assert {entry.name: entry.weight for entry in mixture.parts} == {entry.name: WEIGHTS.get(entry.name, 1.0) for entry in mixture.parts}
    if path.stem != "earthmind_4b_sft":
        return
    for entry in mixture.parts:
        record, scenes = entry.dataset.read(SampleKey(0, 0), np.random.default_rng(0))
        assert record.turns and scenes and all(scene.pixels.shape[1:] == (SIZE, SIZE) for scene in scenes), entry.name
        expected = {"pair_vqa": {"rgb", "sar"}, "sar_seg": {"rgb", "sar"}, "multispectral_vqa": {"multispectral"}}.get(entry.name, {"rgb"})
        assert set(record.roles) == expected, entry.name
        assert len(record.masks) == entry.name.endswith(("seg", "rs", "sd", "bench")), entry.name
        assert len(record.regions) == entry.name.endswith("regions"), entry.name


def test_the_stage_of_pairs_reads_pairs_and_replay_adds_single_sensors(published_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHMIND_DATA", str(published_data))
    pairs, replay = (read(ROOT / "configs" / "earthmind" / f"earthmind_4b_pairs{end}.py").task.data for end in ("", "_replay"))
    mixture = DATASETS.build(pairs)
    assert {entry.name for entry in mixture.parts} == {"pair_vqa", "sar_seg"}
    for entry in mixture.parts:
        record, _ = entry.dataset.read(SampleKey(0, 0), np.random.default_rng(0))
        assert set(record.roles) == {"rgb", "sar"}, entry.name
    assert [part for part in replay.parts if part["data"] in [other["data"] for other in pairs.parts]] and len(replay.parts) == 12


def test_the_stage_of_series_reads_instructions_captions_and_masks_of_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHMIND_DATA", str(tmp_path))
    scenes = make_scenes(2, size=48, seed=0)
    for folder, make in (("LEVIR-CC", write_levir_cc), ("LEVIR-CD", write_levir_cd), ("xBD", write_xbd)):
        make(tmp_path / folder, scenes)
        if (tmp_path / folder / "test").is_dir():
            (tmp_path / folder / "test").rename(tmp_path / folder / "train")
    teochat = tmp_path / "TEOChatlas/train"
    for name in ("a.png", "b.png"):
        draw(teochat / name)
    turns = [{"from": "human", "value": "<video>\nWhat changed?"}, {"from": "gpt", "value": "a road"}]
    write(teochat / "instruct.json", [{"video": ["a.png", "b.png"], "task": "cls", "conversations": turns}])
    mixture = DATASETS.build(read(ROOT / "configs/earthmind/earthmind_4b_series.py").task.data)
    assert [entry.name for entry in mixture.parts] == ["teochat", "levir_cc", "levir_cd", "xbd"]
    for entry in mixture.parts:
        record, images = entry.dataset.read(SampleKey(0, 0), np.random.default_rng(0))
        assert len(images) == 2 and len({scene.time for scene in images}) == 2 and record.turns, entry.name
        assert len(record.masks) == (entry.name in ("levir_cd", "xbd")), entry.name


@full_config
def test_a_missing_set_is_named_by_its_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHMIND_DATA", str(tmp_path))
    with pytest.raises(EOError, match=r"Refer_Segm/(rrsisd|sarnew)/|TEOChatlas/"):
        DATASETS.build(read(path).task.data)


@full_config
def test_without_its_weights_it_says_where_to_get_them(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eocore.registry import TASKS

    monkeypatch.setenv("PRETRAINED_ROOT", str(tmp_path))
    with pytest.raises(EOError, match=r"folder .* does not exist; nothing is downloaded.*pretrained/README.md"):
        TASKS.build(read(path).task)


class TestModels:
    """On the meta device: sizes, and what trains."""

    @pytest.fixture(scope="class")
    @classmethod
    def tasks(cls) -> dict[str, Task]:
        names = ("4b_sft", "4b_full", "1b_sft")
        return {name: outline(read(ROOT / "configs" / "earthmind" / f"earthmind_{name}.py").task) for name in names}

    def test_the_4b_has_the_published_number_of_parameters(self, tasks: dict[str, Task]) -> None:
        task = tasks["4b_sft"]
        adapters = sum(value.numel() for name, value in task.named_parameters() if "lora_" in name or name.endswith(".rows"))
        # vision tower, projector and Qwen2.5-3B with 151,679 tokens; LoRA of rank 128 on all linear layers
        assert part(task, "vision_tower") + part(task, "projector") == 316_607_488
        assert part(task, "language_model") - adapters == 3_396_050_944
        assert adapters == 239_468_544 + 2 * 5 * 2048
        total = sum(count.total for count in task.parameter_table()) - adapters
        assert 3.92e9 < total < 3.94e9, "3.94 billion with SAM 2's memory, which images do not need"

    def test_what_trains_is_what_was_published_but_for_the_tables(self, tasks: dict[str, Task]) -> None:
        names = [name.removeprefix("model.") for name in trainable_names(tasks["4b_sft"])]
        assert all(name.startswith(PUBLISHED) for name in names)
        language = [name for name in names if name.startswith("language_model")]
        assert [name for name in language if "lora_" not in name] == [
            "language_model.model.embed_tokens.rows",
            "language_model.lm_head.rows",
        ]
        assert len(language) - 2 == 36 * 7 * 2

    def test_both_tables_train_by_choice(self) -> None:
        config = read(ROOT / "configs" / "earthmind" / "earthmind_4b_sft.py")
        config.task.trainable_tokens = []
        config.task.trainable = [*config.task.trainable, "language_model.model.embed_tokens", "language_model.lm_head"]
        trained = sum(count.trainable for count in outline(config.task).parameter_table())
        assert trained == pytest.approx(882e6, rel=0.005), "as computed from the upstream recipe"

    def test_full_fine_tuning_freezes_the_image_encoder_of_sam_alone(self, tasks: dict[str, Task]) -> None:
        frozen = {name.split(".")[1] for name, value in tasks["4b_full"].named_parameters() if not value.requires_grad}
        assert frozen == {"seg_head"}
        assert not [name for name, _ in tasks["4b_full"].named_parameters() if "lora_" in name]

    def test_the_1b_is_smaller_by_its_language_model(self, tasks: dict[str, Task]) -> None:
        assert part(tasks["1b_sft"], "vision_tower") == part(tasks["4b_sft"], "vision_tower")
        adapters = sum(value.numel() for name, value in tasks["1b_sft"].named_parameters() if "lora_" in name or name.endswith(".rows"))
        assert part(tasks["1b_sft"], "language_model") - adapters == pytest.approx(630e6, rel=0.01)

    def test_the_8b_for_24_gb_holds_all_linear_layers_of_its_language_model_in_4_bits(self) -> None:
        task = outline(read(ROOT / "configs" / "earthmind" / "earthmind_8b_qlora_24gb.py").task)
        packed = {name: value for name, value in task.named_parameters() if is_marked(value)}
        # Qwen3-8B: queries and outputs, keys and values, the MLP
        assert sum(value.numel() for value in packed.values()) == 36 * (2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 12288)
        assert all("language_model.model.layers." in name and not value.requires_grad for name, value in packed.items())
        assert {name for name in trainable_names(task) if ".lora_" in name}, "LoRA trains beside them"


def gpus_of(path: Path) -> int:
    """On how many the command of a config's header trains."""
    return int(path.read_text().splitlines()[1].split()[-1])


@pytest.fixture(scope="module")
def ssl4eo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of two locations and their captions, as data/README.md draws it."""
    root = tmp_path_factory.mktemp("ssl4eo")
    for split in ("train", "val"):
        file, table = f"ssl4eos12_{split}_seasonal_data_000001.zarr.zip", root / "Llama3-SSL4EO-S12-v1.1-captions" / f"{split}.parquet"
        images = root / "SSL4EO-S12-v1.1-Zarr" / split / "S2L2A"
        images.mkdir(parents=True)
        table.parent.mkdir(exist_ok=True)
        (images / file).write_bytes(zip_bytes(chunk_file(["0000001", "0000002"])))
        rows = [
            {"caption": f"The image is a satellite view of {name} in season {time}.", "file": file, "sample_id": name, "time_id": time}
            for name in ("0000001", "0000002")
            for time in range(4)
        ]
        pd.DataFrame(rows).to_parquet(table)
    return root


class TestClips:
    """MS-CLIP's: data sets on small files of the published layout, sizes on the meta device."""

    @full_clip
    def test_its_data_sets_read_the_published_layout(self, path: Path, ssl4eo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL4EO_ROOT", str(ssl4eo))
        config = read(path)
        task = outline_clip(config.task)
        assert len(task.data.build_dataset()) == len(DATASETS.build(config.evaluation.datasets[0])) == 8
        record, scenes = task.data.build_dataset().read(SampleKey(0, 3), np.random.default_rng(0))
        assert record.captions[0].startswith("The image is a satellite view of 000000")
        band = scenes[0].pixels[scenes[0].bands.index("B04")]
        assert band.min() >= 0 and band.max() < 0.2, "reflectance without the offset of 1000"
        pixels = task.processor.pixels(by_role(scenes, source=record.source))
        assert pixels.shape == (3 if path.stem.endswith("rgb") else 10, 224, 224) and bool(pixels.isfinite().all())

    @full_clip
    def test_without_its_weights_it_says_where_to_get_them(self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from eocore.registry import TASKS

        monkeypatch.setenv("PRETRAINED_ROOT", str(tmp_path))
        with pytest.raises(EOError, match=r"nothing is downloaded.*pretrained/README.md"):
            TASKS.build(read(path).task)

    @full_clip
    def test_it_compares_4096_pairs_and_all_of_it_trains_the_patch_embedding_ten_times_as_fast(self, path: Path) -> None:
        config = read(path)
        assert gpus_of(path) * config.task.batch_size == 4096 and config.training.accumulation == 1
        task = outline_clip(config.task)
        assert all(parameter.requires_grad for parameter in task.parameters())
        optimizer = build_optimizer(task, OptimizerOptions(**config.optimizer))
        rates = sorted({group["lr"] for group in optimizer.param_groups})
        assert rates == pytest.approx([3.76e-6, 3.76e-5])
        fast = [parameter for group in optimizer.param_groups if group["lr"] > 1e-5 for parameter in group["params"]]
        assert [id(parameter) for parameter in fast] == [id(task.model.vision_model.embeddings.patch_embedding.weight)]

    @full_clip
    def test_it_states_its_hours(self, path: Path) -> None:
        head = path.read_text()
        stated = re.search(r"^# Time: ([\d.]+) hours an epoch at 40 % of an H100's peak, where data come at ([\d,]+) samples/s", head, re.M)
        assert stated is not None
        planned = supposed_batches(read(path), num_gpus=gpus_of(path), num_samples=984_576, sizes={"tokens": 77, "tiles": 1})
        plan, _ = plan_run(planned, accumulation=1, mfu=0.4)
        assert (float(stated[1]), int(stated[2].replace(",", ""))) == pytest.approx((plan.hours, plan.samples_per_s), rel=0.01)
        assert plan.updates * 10 == pytest.approx(read(path).training.max_iters, abs=1)

    @pytest.mark.slow
    @full_clip
    def test_its_memory_is_what_is_estimated(self, path: Path) -> None:
        config, gpus = read(path), gpus_of(path)
        shape, kind = replace(step_shape(config.task), ranks=gpus), checkpointing_kind(config.task.get("gradient_checkpointing", False))
        found = estimate(config, num_gpus=gpus, shapes=[shape], kinds=[kind])
        stated = float(path.read_text().splitlines()[2].split()[2])
        assert stated == pytest.approx(found.peak(shape.tokens) / 2**30, abs=0.06)
