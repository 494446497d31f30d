"""Prompt templates by the names that the upstream commands give them: clip, msclip, rs5m. Each holds `{label}` once."""

from collections.abc import Iterator

from eocore.errors import ConfigError
from eocore.evaluate.protocols import TEMPLATES as CLIP
from eocore.text import did_you_mean

QUALITIES = ("low resolution", "bad", "cropped", "bright", "dark", "close-up", "black and white", "jpeg corrupted", "blurry", "good")
KINDS = ("large", "nice", "small", "weird", "cool")
ARTICLES = ("the ", "a ")


def _rs5m() -> Iterator[str]:
    """Source: GeoRSCLIP's 105 templates (github.com/om-ai-lab/RS5M): 35 phrasings, each for three kinds of image."""
    for image in ("a remote sensing image", "an aerial image", "a satellite image"):
        name = image.partition(" ")[2]
        yield from (f"{image} of {begin}{{label}}." for begin in ("many ", "a ", "the ", "the hard to see ", "a hard to see "))
        yield from (f"a {quality} {name} of {article}{{label}}." for quality in QUALITIES for article in ARTICLES)
        yield from (f"{image} of {article}{kind} {{label}}." for kind in KINDS for article in ARTICLES)


def _msclip() -> Iterator[str]:
    """The upstream default of 50 templates. Source: IBM/MS-CLIP at 9dbeb33."""
    for begin in ("a satellite image showing", "The image is a satellite view showing"):
        yield from (f"{begin} {article}{{label}}." for article in ("", "a ", "the "))
    yield "The image shows {label}."
    for begin in ("a satellite image of", "the satellite image of", "a satellite view of"):
        yield from (f"{begin} {article}{{label}}." for article in ("", "a ", "the "))
    yield from (f"a {quality} satellite image of {article}{{label}}." for quality in QUALITIES[:4] for article in ARTICLES)
    aerial = ("cropped", "bright", "dark", "close-up", "black and white", "jpeg corrupted", "blurry", "good")
    yield from (f"a {quality} aerial image of {article}{{label}}." for quality in aerial for article in ARTICLES)
    yield from (f"an aerial image of {article}{kind} {{label}}." for kind in KINDS for article in ARTICLES)


TEMPLATES: dict[str, tuple[str, ...]] = {"clip": CLIP, "msclip": tuple(_msclip()), "rs5m": tuple(_rs5m())}


def find_templates(name: str) -> tuple[str, ...]:
    """The templates of that name. Raises ConfigError where there are none."""
    if name not in TEMPLATES:
        raise ConfigError(f"no templates '{name}'.{did_you_mean(name, TEMPLATES)} Choices: {', '.join(TEMPLATES)}.")
    return TEMPLATES[name]
