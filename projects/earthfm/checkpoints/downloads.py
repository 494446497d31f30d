"""What may be fetched, by name: OlmoEarth's encoders, the language model that upstream joins to them, and ChatEarthNet."""

from eocore.hub_files import HubFiles, ZenodoFiles

OLMOEARTH_LICENCE = "OlmoEarth Artifact License: read it on the card"
RELEASES = {
    "v1": ("Nano", "Tiny", "Base", "Large"),
    "v1_1": ("Nano", "Tiny", "Base"),
    "v1_2": ("Nano", "Tiny", "Small", "Base"),
    "v1_3": ("Base",),
}
"""Version -> sizes. Source: olmoearth-pretrain-minimal 0.1.5, `ModelID`."""


def _encoder(version: str, size: str) -> HubFiles:
    name = f"OlmoEarth-{version}-{size}"
    return HubFiles(
        repository=f"allenai/{name}",
        files=("config.json", "weights.pth"),
        folder=name,
        licence=OLMOEARTH_LICENCE,
        command=f'name it in a config: task.model.encoder_weights="pretrained/{name}"',
    )


MOONDREAM = HubFiles(
    repository="vikhyatk/moondream2",
    files=("config.json", "*.safetensors", "tokenizer.json", "tokenizer_config.json"),
    extras=("vocab.json", "merges.txt", "special_tokens_map.json", "added_tokens.json"),
    folder="moondream2",
    licence="Apache-2.0",
    command=(
        "fetch revision 2024-08-26 (--revision 2024-08-26), whose text model is Phi; name it in a config: "
        'task.model.language_weights="pretrained/moondream2"'
    ),
)
ENCODERS = {
    f"olmoearth-{version.replace('_', '.')}-{size.lower()}": _encoder(version, size)
    for version, sizes in RELEASES.items()
    for size in sizes
}
CHATEARTHNET = ZenodoFiles(
    record="11003436",
    folder="ChatEarthNet",
    licence="CC-BY-4.0",
    command="python tools/check_data.py configs/earthfm/earthfm_nano.py",
    md5_starts=("ac365a32", "4e537178", "71446c4f", "5425015e"),
)
"""Captions, and pictures in three zip files: 38.4 GB, and as much again unpacked. Source: zhu-xlab/ChatEarthNet."""
DOWNLOADS: dict[str, HubFiles | ZenodoFiles] = {"moondream2": MOONDREAM, "chatearthnet": CHATEARTHNET, **ENCODERS}
"""Name -> files."""
