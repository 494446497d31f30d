"""What may be fetched from the Hugging Face hub, by name: weights that upstream names, and what it was trained on."""

from eocore.hub_files import HubFiles

RELEASED = "Llama3-MS-CLIP-Base"
OPEN_CLIP_IDS = {
    "ViT-B-16": "laion/CLIP-ViT-B-16-laion2B-s34B-b88K",
    "ViT-B-32": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    "ViT-L-14": "laion/CLIP-ViT-L-14-laion2B-s32B-b82K",
}
"""OpenCLIP id -> repository of the weights that upstream takes under it. Source: IBM/MS-CLIP at 9dbeb33."""
FOLDERS = {RELEASED: "llama3-ms-clip", "ViT-B-16": "clip-vit-b-16", "ViT-B-32": "clip-vit-b-32", "ViT-L-14": "clip-vit-l-14"}
"""Upstream name -> name of the download, and of the folder below `pretrained/` that its import fills."""
OPEN_CLIP_FILES = (
    "open_clip_model.safetensors",
    "open_clip_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
)
OPEN_CLIP_EXTRAS = ("special_tokens_map.json",)
RELEASED_FILE = "Llama3_MS_CLIP_weights.pt"
LLAMA3 = "Llama 3 community licence: its captions were made by a model of that family"


def _open_clip(name: str) -> HubFiles:
    """Weights and tokenizer of OpenCLIP by its id."""
    repository = OPEN_CLIP_IDS[name]
    folder = repository.partition("/")[2]
    return HubFiles(
        repository=repository,
        files=OPEN_CLIP_FILES,
        extras=OPEN_CLIP_EXTRAS,
        folder=folder,
        licence="MIT",
        command=f"python tools/import_weights.py pretrained/{folder} --out pretrained/{FOLDERS[name]}",
    )


def _released() -> HubFiles:
    """The model that upstream published; its tokenizer is the one of the OpenCLIP model that it began with."""
    repository = "ibm-esa-geospatial/Llama3-MS-CLIP-base"
    folder = repository.partition("/")[2]
    tokenizer = OPEN_CLIP_IDS["ViT-B-16"].partition("/")[2]
    return HubFiles(
        repository=repository,
        files=(RELEASED_FILE,),
        folder=folder,
        licence=LLAMA3,
        command=(
            f"python tools/import_weights.py pretrained/{folder}/{RELEASED_FILE} --tokenizer pretrained/{tokenizer} "
            f"--out pretrained/{FOLDERS[RELEASED]}\n  (its tokenizer is CLIP's: python tools/download.py {FOLDERS['ViT-B-16']} brings it)"
        ),
    )


def _ssl4eo(name: str, then: str) -> HubFiles:
    """Sentinel-2 L2A of one release."""
    return HubFiles(
        repository=f"embed2scale/{name}",
        kind="dataset",
        files=("*/S2L2A/*",),
        extras=("README.md",),
        folder=name,
        licence="CC-BY-4.0",
        command=f"fetch the captions too (ssl4eo-s12-captions); {then}; then python tools/check_data.py CONFIG",
    )


DATA_SETS = {
    "ssl4eo-s12-captions": HubFiles(
        repository="ibm-esa-geospatial/Llama3-SSL4EO-S12-v1.1-captions",
        kind="dataset",
        files=("*.csv", "*.parquet"),
        folder="Llama3-SSL4EO-S12-v1.1-captions",
        licence=LLAMA3,
        command="fetch the images too (ssl4eo-s12), then python tools/check_data.py CONFIG",
    ),
    "ssl4eo-s12": _ssl4eo("SSL4EO-S12-v1.1", "index the shards (tools/prepare/ssl4eo.py)"),
    "ssl4eo-s12-zarr": _ssl4eo("SSL4EO-S12-v1.1-Zarr", "data/README.md shows a config"),
}
"""Name -> files, below the data folder: Sentinel-2 L2A of SSL4EO-S12 v1.1 (hundreds of GB: see --dry-run first), and its captions."""
DOWNLOADS = {FOLDERS[RELEASED]: _released(), **{FOLDERS[name]: _open_clip(name) for name in OPEN_CLIP_IDS}, **DATA_SETS}
"""Name -> files. Licences as the cards on the hub state them; read them there before use."""
