"""Upstream's quick start with its flags: asks a converted model about the images of a folder and writes the first mask over each.

The images are frames of one question, or one of them is selected; --image_path and --sar_image_path ask about one pair of images.
docs/moving_over.md compares the flags with upstream's.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from eocore.command import command
from eocore.errors import ConfigError, DataError
from eocore.files import write_file

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tiff", ".tif")
TEXT = "<image>Please segment the left chimney."
NO_WORK_DIR = Path("temp_visualize_results")
"""Where upstream writes with an empty --work-dir."""
MASK_COLOUR, MASK_OPACITY = (0, 127, 0), 0.4
"""Of an overlay: matplotlib's "g" and upstream's alpha."""


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_path", required=True, metavar="DIR", help="folder of a converted model; its Python files are executed")
    parser.add_argument("--image_folder", type=Path, default=Path("demo_images"), metavar="DIR", help="images (default: %(default)s)")
    parser.add_argument("--image_path", type=Path, metavar="FILE", help="RGB image of a pair; replaces --image_folder")
    parser.add_argument("--sar_image_path", type=Path, metavar="FILE", help="SAR image of the pair")
    parser.add_argument("--work-dir", default="result", metavar="DIR", help="where overlays go (default: %(default)s)")
    parser.add_argument("--text", default=TEXT, help="question or request (default: %(default)s)")
    parser.add_argument("--select", type=int, default=-1, metavar="N", help="ask about the N-th image alone, from 1 on (default: all)")
    return parser


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder, by name.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"--image_folder {folder} is no folder. Name one with images.")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise DataError(f"--image_folder {folder} holds no image; their names end in {', '.join(IMAGE_SUFFIXES)}.")
    return found


def open_image(path: Path) -> Image.Image:
    """The image as RGB.

    Raises:
        DataError: the file cannot be read as an image.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image ({type(error).__name__}: {error}). Remove or replace it.") from error


def choose_images(arguments: argparse.Namespace) -> list[Path]:
    """The images that are asked about; two of a pair, RGB first.

    Raises:
        ConfigError: the flags do not go together, or fewer images than selected are there.
        DataError: there are no images.
    """
    pair = [arguments.image_path, arguments.sar_image_path]
    if any(pair):
        if not all(pair) or arguments.select > 0:
            raise ConfigError("--image_path and --sar_image_path name the two images of one location: give both, and no --select.")
        return pair
    images = list_images(arguments.image_folder)
    if arguments.select > len(images):
        raise ConfigError(f"--select {arguments.select}: {arguments.image_folder} holds {len(images)} images. Select one of them.")
    return images if arguments.select <= 0 else [images[arguments.select - 1]]


def ask(model: Any, images: Sequence[Image.Image], *, arguments: argparse.Namespace, tokenizer: Any) -> dict[str, Any]:
    """What the upstream call for these images returns.

    Raises:
        DataError: the model cannot take the images or the text.
    """
    shared = {"text": arguments.text, "tokenizer": tokenizer}
    try:
        if arguments.image_path:
            rgb, sar = images
            answer: dict[str, Any] = model.predict_forward_multi(image=sar, rgb_image=rgb, **shared)
        elif arguments.select > 0:
            answer = model.predict_forward(image=images[0], **shared)
        else:
            answer = model.predict_forward(video=list(images), **shared)
    except ValueError as error:  # what the model's own code raises for samples it cannot take
        raise DataError(f"the model cannot answer this: {error}") from error
    return answer


def draw_mask(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """The image with an (H, W) bool mask blended over it."""
    pixels = np.asarray(image, dtype=np.float64)
    tinted = (1 - MASK_OPACITY) * pixels + MASK_OPACITY * np.array(MASK_COLOUR)
    return Image.fromarray(np.rint(np.where(mask[..., None], tinted, pixels)).astype(np.uint8))


def write_overlay(path: Path, overlay: Image.Image, *, source: Path) -> None:
    """Writes an overlay in the format that the name tells.

    Raises:
        ConfigError: it would replace the image it is drawn over.
    """
    if path.resolve() == source.resolve():
        raise ConfigError(f"--work-dir {path.parent} is the folder of the images, which overlays would replace. Name another.")
    content = io.BytesIO()
    overlay.save(content, format=Image.registered_extensions()[path.suffix.lower()])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content.getvalue())


def load(folder: str) -> tuple[Any, Any]:
    """Model and tokenizer by the calls of the quick start, on the GPU if there is one.

    Raises:
        DataError: they cannot be loaded.
    """
    if not Path(folder).is_dir():
        raise DataError(f"--model_path {folder} is no folder, and nothing is downloaded. Convert a model with tools/convert_to_hf.py.")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(folder, torch_dtype="auto", trust_remote_code=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
    except (OSError, ValueError) as error:
        raise DataError(f"--model_path {folder} cannot be loaded as a model ({error}). Convert one with tools/convert_to_hf.py.") from error
    return model.eval().to("cuda:0" if torch.cuda.is_available() else "cpu"), tokenizer


@command
def main() -> None:
    """Runs the command; returns the exit status."""
    arguments = build_parser().parse_args()
    paths = choose_images(arguments)
    images = [open_image(path) for path in paths]
    model, tokenizer = load(arguments.model_path)
    if arguments.select > 0:
        print(f"Selected frame {arguments.select}")
    print(f"The input is:\n{arguments.text}")
    answer = ask(model, images, arguments=arguments, tokenizer=tokenizer)
    print(f"The output is:\n{answer['prediction']}")
    out = Path(arguments.work_dir) if arguments.work_dir else NO_WORK_DIR
    masks = answer["prediction_masks"][0] if answer["prediction_masks"] else []
    for path, image, mask in zip(paths, images, masks, strict=False):  # a pair has one mask, shown on its RGB image
        shown = mask if mask.shape == (image.height, image.width) else np.asarray(Image.fromarray(mask).resize(image.size))
        write_overlay(out / path.name, draw_mask(image, shown), source=path)
        print(f"  {out / path.name}")


if __name__ == "__main__":
    sys.exit(main())
