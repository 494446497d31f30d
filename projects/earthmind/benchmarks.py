"""The benchmarks whose layouts are EarthMind's own, put into the registry BENCHMARKS when imported."""

from typing import Any

from earthmind.datasets import bench, mcq, multispectral, paired  # noqa: F401  (registers the datasets)
from earthmind.datasets.paired import pair_images
from eocore.data import registered as _registered  # noqa: F401  (registers the core's datasets and transforms)
from eocore.data.formats.regions import QUESTION
from eocore.evaluate.benchmarks.catalogue import Benchmark, register
from eocore.evaluate.benchmarks.multispectral import BIGEARTHNET_19
from eocore.evaluate.benchmarks.questions import RGB, pictures

SEGMENT = "Please segment {phrase} in this image."
"""Source: EarthMind v1, refrs_eval.py."""

PAIR = {
    "optical": ["rgb"],
    "sar": ["sar"],
    "fused": ["rgb", "sar"],
    "grey_sar": ["rgb", "sar"],
    "grey_rgb": ["rgb", "sar"],
}
"""The settings of the pairs: each sensor, both, and both with one of them greyed."""

CHOICES = {
    "scene classification": "scene_classification_unmatched.json",
    "object existence": "object_existence_all_unmatched.json",
    "hallucination detection": "hallucination_detection_all_unmatched.json",
    "object counting": "object_counting_all_unmatched.json",
    "spatial relationship": "spatial_relationship_all_unmatched.json",
}
OPEN = {
    "image captioning": "caption_all_unmatched.json",
    "disaster forecasting": "disaster_all_unmatched.json",
    "route planning": "Navigation_all_unmatched.json",
    "urban development": ["urban_all_unmatched.json", "traffic_flow_predction_all_unmatched.json"],
}
"""Subtask -> file. Source: EarthMind-Bench on the Hugging Face hub; some versions call the last one otherwise, with that typing error."""

ONLY_THE_OPTION = "\nonly output the correct option."
"""Source: the later upstream EarthMind code (Earth-Observation-VLMs)."""

MULTISPECTRAL_CHOICES = {"scene classification": "ms_scene_classification_qa.json"}
"""As `CHOICES`: questions about a multispectral and a SAR image, of the second upstream release (infer_earthmindbench_mcqms.py)."""
_MULTISPECTRAL_PAIR = {
    "multispectral": {
        "root": "$root/EarthMind-Bench/img/test/ms_sar/ms/img",
        "pattern": "{stem}_B*.tif",
        "sensor": "sentinel2_l2a",
    },
    "sar": {"root": "$root/EarthMind-Bench/img/test/ms_sar/sar/img", "pattern": ["{name}", "{stem}.png"], "sensor": "grey_uint8"},
}
"""Where upstream looks for them below its image folder. The processor's band rendering applies, in training and here; upstream's composites
differ between the two, so its figures measure a shifted input."""

_BENCH = "Hugging Face sy1998/EarthMind-Bench: json/ and img/ into EarthMind-Bench/."
_PAIRS = pair_images("$root/EarthMind-Bench/img/test", rgb_sensor="rgb_uint8", sar_sensor="grey_uint8")


def _bench(name: str, title: str, *, files: dict[str, Any], task: str, expected: int | None, max_new_tokens: int) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        suite="earthmind-bench",
        task=task,
        settings=PAIR,
        expected=expected,
        max_new_tokens=max_new_tokens,
        source=_BENCH,
        prompt=f"{{question}}{ONLY_THE_OPTION}" if task == "mcq" else "{question}",
        dataset={
            "type": "EarthMindBenchFilesDataset",
            "annotations": "$root/EarthMind-Bench/json",
            "files": files,
            "task": task,
            "images": _PAIRS,
            "suffix": ONLY_THE_OPTION if task == "mcq" else "",
        },
    )


def _referring(name: str, title: str, *, source: str, expected: int | None = None) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        suite="pixel",
        task="referring",
        prompt=SEGMENT,
        settings=RGB,
        expected=expected,
        source=source,
        dataset=_refs(name, pictures(f"$root/Refer_Segm/{name}/images", ["{name}", "{stem}.jpg", "{stem}.png", "{stem}.tif"])),
    )


def _refs(folder: str, images: dict[str, Any]) -> dict[str, Any]:
    """ReferDataset of the test split: one phrase a record, worded as written."""
    ask = {"type": "ComposeReferring", "num_expressions": 1, "templates": ["$prompt"], "answers": ["[SEG]"], "lower": False}
    return {
        "type": "ReferDataset",
        "annotations": f"$root/Refer_Segm/{folder}/refs(unc).p",
        "instances": f"$root/Refer_Segm/{folder}/instances.json",
        "split": "test",
        "images": images,
        "transforms": [{**ask, "strip_period": False}],
    }


def _sar_referring(name: str, title: str, *, suite: str, settings: dict[str, list[str]]) -> Benchmark:
    """Part of the rgb images end in .jpg and their sar partners in .png."""
    suffixes = ["{name}", "{stem}.png", "{stem}.jpg"]
    images = {
        "rgb": {"root": "$root/Refer_Segm/sarnew/rgb", "pattern": suffixes, "sensor": "rgb_uint8"},
        "sar": {"root": "$root/Refer_Segm/sarnew/sar", "pattern": suffixes, "sensor": "grey_uint8"},
    }
    return Benchmark(
        name=name,
        title=title,
        suite=suite,
        task="referring",
        prompt=SEGMENT,
        settings=settings,
        expected=438,
        source="EarthMind-data on the Hugging Face hub (sy1998): Refer_Segm/sarnew with rgb/ and sar/.",
        dataset=_refs("sarnew", images),
    )


register(
    Benchmark(
        name="rsvg_region",
        title="RSVG region captions",
        suite="region",
        task="region",
        settings=RGB,
        source="EarthMind-data on the Hugging Face hub (sy1998): region_caption/rsvg_test.json and region_caption/rsvg/images/.",
        prompt=QUESTION,
        dataset={
            "type": "CocoRegionDataset",
            "annotations": "$root/region_caption/rsvg_test.json",
            "images": pictures("$root/region_caption/rsvg/images"),
            "question": "$prompt",
        },
    ),
    _referring("rrsisd", "RRSIS-D test", expected=3481, source="github.com/Lsan2401/RMSIN, then tools/prepare/rrsisd.py."),
    _referring("refsegrs", "RefSegRS test", expected=1817, source="github.com/zhu-xlab/rrsis, then tools/prepare/refsegrs.py."),
    _referring("risbench", "RISBench test", source="github.com/HIT-SIRS/CroBIM, then tools/prepare/risbench.py."),
    _sar_referring("sar_referring", "SAR referring (EarthMind)", suite="pixel", settings={"sar": ["sar"]}),
    Benchmark(
        name="bigearthnet_composites",
        title="BigEarthNet (EarthMind's composites)",
        suite="multispectral",
        task="multilabel",
        settings={"multispectral": ["multispectral"]},
        source="EarthMind-data on the Hugging Face hub (sy1998): multi-spectrum/ms_test.jsonl and multi-spectrum/rgb_images/.",
        dataset={
            "type": "LetteredClassesDataset",
            "annotations": "$root/multi-spectrum/ms_test.jsonl",
            "root": "$root/multi-spectrum/rgb_images",
            "classes": list(BIGEARTHNET_19),
        },
    ),
    _bench("earthmind_bench_choice", "EarthMind-Bench, multiple choice", files=CHOICES, task="mcq", expected=1810, max_new_tokens=32),
    Benchmark(
        name="earthmind_bench_choice_ms",
        title="EarthMind-Bench, multiple choice, multispectral and SAR",
        task="mcq",
        settings={"multispectral": ["multispectral"], "sar": ["sar"], "fused": ["multispectral", "sar"]},
        max_new_tokens=32,
        source=f"{_BENCH} The second release's ms_scene_classification_qa.json, with bands below img/test/ms_sar/.",
        dataset={
            "type": "EarthMindBenchFilesDataset",
            "annotations": "$root/EarthMind-Bench/json",
            "files": MULTISPECTRAL_CHOICES,
            "task": "mcq",
            "images": _MULTISPECTRAL_PAIR,
        },
    ),
    _bench("earthmind_bench_open", "EarthMind-Bench, open questions", files=OPEN, task="open", expected=None, max_new_tokens=256),
    _sar_referring("earthmind_bench_masks", "EarthMind-Bench, referring segmentation", suite="earthmind-bench", settings=PAIR),
)
