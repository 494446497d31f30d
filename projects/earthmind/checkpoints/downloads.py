"""What may be fetched from the Hugging Face hub, by name: weights that a training may start from, and data sets."""

from eocore.hub_files import HubFiles

MODEL_FILES = ("config.json", "*.safetensors", "tokenizer_config.json", "vocab.json", "merges.txt")
"""What an import reads of a folder with a language model; the Python files in such folders are not fetched."""
TOKENIZER_EXTRAS = ("added_tokens.json", "special_tokens_map.json", "tokenizer.json", "*.index.json", "generation_config.json")
QWEN = "its language part is Qwen2.5, see its licence"
PRETRAIN_COMMAND = (
    "python tools/import_weights.py pretrained/InternVL2_5-4B pretrained/EarthMind-Pretrain/iter_112588.pth "
    "--sam2 pretrained/sam2_hiera_large.pt --lora-alpha 256 --lora-rank 128 --out pretrained/earthmind-pretrain"
)
"""The .pth that the upstream configs begin with; its LoRA numbers are theirs. It holds what was trained: its base models are needed too."""
TRAINING_COMMAND = "unpack its archives there (data/README.md has the tree), then python tools/check_data.py CONFIG"
SAM2_COMMAND = "python tools/import_weights.py pretrained/InternVL2_5-4B --sam2 pretrained/{folder} --out pretrained/internvl2_5-4b-{short}"


def _model(repository: str, *, licence: str, command: str) -> HubFiles:
    """A folder with a language model and its tokenizer, called as its repository."""
    return HubFiles(
        repository=repository,
        files=MODEL_FILES,
        extras=TOKENIZER_EXTRAS,
        folder=repository.partition("/")[2],
        licence=licence,
        command=command,
    )


def _internvl(version: str, size: str, *, licence: str = f"MIT; {QWEN}") -> HubFiles:
    folder = f"InternVL{version}-{size}"
    out = f"{folder.lower()}-sam2-l"
    command = f"python tools/import_weights.py pretrained/{folder} --sam2 pretrained/sam2.1_hiera_large.pt --out pretrained/{out}"
    return _model(f"OpenGVLab/{folder}", licence=licence, command=command)


def _earthmind(folder: str, out: str, *, options: str = "") -> HubFiles:
    command = f"python tools/import_weights.py pretrained/{folder} {options}--out pretrained/{out}"
    return _model(f"sy1998/{folder}", licence=f"see its page; {QWEN}", command=command)


def _training_data(repository: str) -> HubFiles:
    return HubFiles(repository=repository, kind="dataset", files=("*",), folder="", licence="see its page", command=TRAINING_COMMAND)


def _sam2(version: str, size: str, *, file: str, short: str) -> HubFiles:
    return HubFiles(
        repository=f"facebook/sam{version}-hiera-{size}",
        files=(file,),
        folder="",
        licence="Apache-2.0",
        command=SAM2_COMMAND.format(folder=file, short=short),
    )


WEIGHTS = {
    "internvl2_5-1b": _internvl("2_5", "1B"),
    "internvl2_5-4b": _internvl("2_5", "4B"),
    "internvl3-1b": _internvl("3", "1B"),
    "internvl3-2b": _internvl("3", "2B"),
    "internvl3-8b": _internvl("3", "8B"),
    "internvl3.5-1b": _internvl("3_5", "1B", licence="Apache-2.0"),
    "internvl3.5-2b": _internvl("3_5", "2B", licence="Apache-2.0"),
    "internvl3.5-4b": _internvl("3_5", "4B", licence="Apache-2.0"),
    "internvl3.5-8b": _internvl("3_5", "8B", licence="Apache-2.0"),
    "sam2.1-t": _sam2("2.1", "tiny", file="sam2.1_hiera_tiny.pt", short="sam2-t"),
    "sam2.1-s": _sam2("2.1", "small", file="sam2.1_hiera_small.pt", short="sam2-s"),
    "sam2.1-b+": _sam2("2.1", "base-plus", file="sam2.1_hiera_base_plus.pt", short="sam2-b"),
    "sam2.1-l": _sam2("2.1", "large", file="sam2.1_hiera_large.pt", short="sam2-l"),
    "sam2-l": _sam2("2", "large", file="sam2_hiera_large.pt", short="sam2-l"),
    "earthmind-4b": _earthmind("EarthMind-4B", "earthmind-4b"),
    "earthmind-4b-multi": _earthmind("EarthMind4B_multi", "earthmind-4b-multi", options="--fusion hca "),
    "earthmind-pretrain": HubFiles(
        repository="sy1998/EarthMind-Pretrain",
        files=("*",),
        folder="EarthMind-Pretrain",
        licence=f"see its page; {QWEN}",
        command=PRETRAIN_COMMAND,
    ),
    "qwen2.5-3b": _model(
        "Qwen/Qwen2.5-3B-Instruct",
        licence="Qwen research licence: no commercial use",
        command="python tools/import_weights.py pretrained/InternVL2_5-4B --language pretrained/Qwen2.5-3B-Instruct --out pretrained/NAME",
    ),
}
"""Name -> files. Licences as the cards on the hub state them; read them there before use."""
DATA_SETS = {
    "earthmind-data": _training_data("sy1998/EarthMind-data"),
    "earthmind-multisensor-data": _training_data("sy1998/Multisensor_RS_Data"),
    "earthmind-bench": HubFiles(
        repository="sy1998/EarthMind-Bench",
        kind="dataset",
        files=("*",),
        folder="EarthMind-Bench",
        licence="see its page",
        command="unpack its archives there (docs/evaluation.md has the tree), then bash scripts_eval/earthmind-bench.sh MODEL",
    ),
    "geochat-bench": HubFiles(
        repository="MBZUAI/GeoChat-Bench",
        kind="dataset",
        files=("*.jsonl",),
        folder="GeoChat-Bench",
        licence="Apache-2.0",
        command="add the images (docs/evaluation.md), then bash scripts_eval/image_task_eval.sh MODEL",
    ),
    "vrsbench": HubFiles(
        repository="xiang709/VRSBench",
        kind="dataset",
        files=("VRSBench_EVAL_*.json", "Images_val.zip"),
        extras=("Annotations_val.zip",),
        folder="VRSBench",
        licence="CC-BY-4.0",
        command="unpack Images_val.zip there, then bash scripts_eval/image_task_eval.sh MODEL",
    ),
}
"""Name -> files, below the data folder; test sets and what upstream trained on."""
DOWNLOADS = WEIGHTS | DATA_SETS
