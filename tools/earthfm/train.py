"""Upstream's training command with its flags: ChatEarthNet, OlmoEarth and Moondream 2 from local folders.

It is configs/earthfm/earthfm_nano.py with what the flags say; any other choice is made there, or with tools/train.py.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from earthfm.upstream.calls import VISION_REFUSED, encoder_folder, language_folder
from eocore.command import command, say
from eocore.errors import ConfigError

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "earthfm" / "earthfm_nano.py"
FUSIONS = ("geospatial_queries",)
IMAGES_PER_EPOCH = 98_092
"""Of ChatEarthNet's training split with captions by GPT-3.5. Source: ChatEarthNet (arXiv 2402.11325)."""
YES_NO = {"true": True, "false": False}


def yes_or_no(text: str) -> bool:
    """The value of a flag that may be turned off, as upstream's cannot."""
    if text.lower() not in YES_NO:
        raise argparse.ArgumentTypeError(f"expected true or false, found '{text}'")
    return YES_NO[text.lower()]


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    switch: dict[str, Any] = {"type": yes_or_no, "nargs": "?", "const": True, "metavar": "true|false"}
    parser.add_argument("--olmoearth_model", default="OLMOEARTH_V1_NANO", metavar="NAME|DIR", help="encoder (default: %(default)s)")
    parser.add_argument("--vlm_model", default="vikhyatk/moondream2", metavar="NAME|DIR", help="language model (default: %(default)s)")
    parser.add_argument("--fusion_type", default=FUSIONS[0], metavar="NAME", help="only %(default)s exists")
    parser.add_argument("--num_geo_queries", type=int, default=32, metavar="N", help="embeddings of an image (default: %(default)s)")
    parser.add_argument("--freeze_olmoearth", **switch, default=True, help="the encoder does not train (default: %(default)s)")
    parser.add_argument("--freeze_vlm_vision", **switch, default=False, help="refused: nothing uses that tower")
    parser.add_argument("--use_lora", **switch, default=True, help="LoRA in the text model (default: %(default)s)")
    parser.add_argument("--lora_r", type=int, default=16, metavar="R", help="its rank (default: %(default)s)")
    parser.add_argument("--lora_alpha", type=int, default=32, metavar="A", help="its alpha (default: %(default)s)")
    parser.add_argument("--data_dir", type=Path, default=Path("./chatearthnet_data"), metavar="DIR", help="(default: %(default)s)")
    parser.add_argument(
        "--output_dir", type=Path, default=Path("./olmoearth_vlm_checkpoints"), metavar="DIR", help="(default: %(default)s)"
    )
    parser.add_argument("--batch_size", type=int, default=4, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--accumulation_steps", type=int, default=4, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--num_epochs", type=int, default=10, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--learning_rate", type=float, default=2e-5, metavar="RATE", help="(default: %(default)s)")
    parser.add_argument("--warmup_steps", type=int, default=100, metavar="N", help="updates (default: %(default)s)")
    parser.add_argument("--weight_decay", type=float, default=0.01, metavar="W", help="(default: %(default)s)")
    parser.add_argument("--save_every", type=int, default=500, metavar="N", help="updates between checkpoints (default: %(default)s)")
    parser.add_argument("--validate_every", type=int, default=200, metavar="N", help="updates between validations (default: %(default)s)")
    parser.add_argument("--device", default="", metavar="DEVICE", help="cpu, or cuda where there is a GPU (default: what is there)")
    parser.add_argument("--images_per_epoch", type=int, default=IMAGES_PER_EPOCH, metavar="N", help="(default: ChatEarthNet's)")
    parser.add_argument("--dry-run", action="store_true", help="make one step and keep nothing")
    return parser


def overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of the config that the flags decide.

    Raises:
        ConfigError: a flag asks for what there is not, or a folder is missing.
    """
    if arguments.fusion_type not in FUSIONS:
        raise ConfigError(f"--fusion_type {arguments.fusion_type}: upstream's class accepts no other than {FUSIONS[0]}. Leave it out.")
    if arguments.freeze_vlm_vision:
        raise ConfigError(VISION_REFUSED)
    per_update = arguments.batch_size * arguments.accumulation_steps
    if min(per_update, arguments.num_epochs, arguments.images_per_epoch) < 1:
        raise ConfigError("--batch_size, --accumulation_steps, --num_epochs and --images_per_epoch are positive numbers.")
    updates = max(arguments.num_epochs * arguments.images_per_epoch // per_update, 1)
    language = language_folder(arguments.vlm_model)
    parts = ["connector", *([] if arguments.freeze_olmoearth else ["encoder.model.blocks", "encoder.model.norm"])]
    own: dict[str, Any] = {
        "task.model.encoder_weights": str(encoder_folder(arguments.olmoearth_model)),
        "task.model.language_weights": str(language),
        "task.model.num_queries": arguments.num_geo_queries,
        "task.tokenizer.path": str(language),
        "task.trainable": parts if arguments.use_lora else [*parts, "language_model"],
        "task.batch_size": arguments.batch_size,
        "training.accumulation": arguments.accumulation_steps,
        "training.max_iters": updates,
        "training.validation.every": min(arguments.validate_every, updates),
        "hooks.checkpoint.interval": arguments.save_every,
        "optimizer.lr": arguments.learning_rate,
        "optimizer.weight_decay": arguments.weight_decay,
        "schedule.warmup_ratio": min(arguments.warmup_steps / updates, 1.0),
    }
    lora = {"task.lora.rank": arguments.lora_r, "task.lora.alpha": arguments.lora_alpha} if arguments.use_lora else {"task.lora": None}
    return own | lora


def run(arguments: argparse.Namespace) -> int:
    """Trains; returns the exit status of tools/train.py."""
    import os

    from eocore.commands.train import COMMAND

    settings = overrides(arguments)
    os.environ["CHATEARTHNET_ROOT"] = str(arguments.data_dir)
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    given = [f"{name}={_written(value)}" for name, value in settings.items()]
    say(f"{CONFIG.name} with {', '.join(given)}")
    line = [str(CONFIG), "--work-dir", str(arguments.output_dir), *(["--dry-run"] if arguments.dry_run else []), "--cfg-options", *given]
    return COMMAND(line)


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return str(value)


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    return run(build_parser().parse_args())


if __name__ == "__main__":
    sys.exit(command(main)())
