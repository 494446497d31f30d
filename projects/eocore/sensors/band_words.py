"""Which band of a sensor a text means: the description of a layer, or the name of a file."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from eocore.sensors.bands import Sensor, get_sensor, sensor_names

_CODE = re.compile(r"(?:s[rt])?b\d{1,2}a?")
_POLARISATIONS = ("VV", "VH", "HH", "HV")
_POLARISATION = re.compile(
    r"(?:^|(?<=[a-z0-9]))(VV|VH|HH|HV)(?=$|[dD][bB]|[0-9])|(?:^|(?<=[0-9]))(vv|vh|hh|hv)(?=$|db|[0-9])|^(Vv|Vh|Hh|Hv)$"
)
"""Alone in a word, or set off from it by case or a digit: `VV`, `vh`, `Sigma0VV`, `VVdB`."""

_PRODUCT_POLARISATION = re.compile(r"1[sS][sSdD]([hHvV])")
"""Mode and polarisation in the name of a product: 1SDV, 1SDH, 1SSV, 1SSH. Source: ESA Sentinel-1 Product Specification, naming."""

_PLAIN_WORDS = frozenset({
    "band", "layer", "channel", "reflectance", "refl", "surface", "sur", "sr", "st", "toa", "boa", "rho", "dn", "db", "linear", "sigma",
    "sigma0", "gamma", "gamma0", "vis", "visible", "light", "colour", "color", "mean", "median", "composite", "aerosol", "uint8", "uint16",
    "int16", "float32", "float64", "nm", "um",
})  # fmt: skip
"""Words beside a band's common name ("Red band", "sur_refl_red") that leave its meaning as it is."""

_DERIVED_WORDS = frozenset({
    "std", "stddev", "stdev", "var", "variance", "ratio", "mask", "qa", "ndvi", "index", "diff", "difference", "coh", "coherence", "phase",
    "count", "amplitude", "amp",
})  # fmt: skip
"""Words that make a layer something else than the band it names."""

_OTHER_UNITS = frozenset({"amplitude"})
"""Also in the name of a file: the square root of what a radar sensor's files hold, which its numbers need not betray."""

_GENERIC_NUMBERS = re.compile(r"(?i)(band|bands|layer|lyr|channel|ch|b|)[ _.:#-]*0*(\d+)")


@dataclass(frozen=True)
class _Said:
    """What one text says: bands named by a code (B04, VH), bands named by a common name (red), and the words left over."""

    codes: tuple[str, ...]
    words: tuple[str, ...]
    rest: tuple[str, ...]
    foreign: bool


def bands_said(texts: Sequence[str | None], sensor: Sensor, *, are_layers: bool) -> list[str | None]:
    """The band that each text names, None where it names none or several.

    Codes of bands (B8A, SR_B4, VH) count wherever they stand in the text; a common name (red, nir) only beside words that leave its meaning
    as it is. Where texts name several bands or the same one, the words that all have in common are left out first.

    Args:
        texts: of the layers of an image, in order; None = the file is silent.
        sensor: whose bands they are.
        are_layers: descriptions of layers, in which a word such as "ratio" or "mask" makes another thing of the band; else file names.
    """
    words = [_words(text) if text else () for text in texts]
    bands = [_one_band(_said(part, sensor), are_layers=are_layers) for part in words]
    if len(words) > 1 and all(words) and (None in bands or len(set(bands)) < len(bands)):
        common = Counter(words[0])
        for part in words[1:]:
            common &= Counter(part)
        telling = _DERIVED_WORDS if are_layers else _OTHER_UNITS
        common = Counter({word: count for word, count in common.items() if word.lower() not in telling})
        if common:
            again = [_one_band(_said(_without(part, common), sensor), are_layers=are_layers) for part in words]
            if sum(band is not None for band in set(again)) > sum(band is not None for band in set(bands)):
                return again
    return bands


def polarisations_said(text: str) -> list[str]:
    """The polarisations that a file's name lists, in its order; those of its product code (1SDH) where it lists none."""
    listed = [code for word in _words(text) if (code := _polarisation(word))]
    if listed:
        return list(dict.fromkeys(listed))
    found = next((match for word in _words(text) if (match := _PRODUCT_POLARISATION.fullmatch(word))), None)
    return [] if found is None else (["HH", "HV"] if found.group(1) in "hH" else ["VV", "VH"])


def are_meaningless(texts: Sequence[str | None], *, stem: str = "") -> bool:
    """Whether descriptions say nothing of what their layers hold: all silent or alike, or the numbers of the layers in order.

    Args:
        texts: of the layers of one file.
        stem: the file's name, which some programs number the layers after.
    """
    if len(set(texts)) == 1:
        return True
    numbers, prefixes = [], set()
    for text in texts:
        match = re.fullmatch(rf"({re.escape(stem)})[ _.:#-]*0*(\d+)", text or "") if stem else None
        match = match or _GENERIC_NUMBERS.fullmatch((text or "").strip())
        if match is None:
            return False
        prefixes.add(match.group(1).lower())
        numbers.append(int(match.group(2)))
    return len(prefixes) == 1 and numbers in (list(range(len(texts))), list(range(1, len(texts) + 1)))


def _one_band(said: _Said, *, are_layers: bool) -> str | None:
    if said.foreign or (_DERIVED_WORDS if are_layers else _OTHER_UNITS).intersection(said.rest):
        return None
    if said.codes:
        return said.codes[0] if len(set(said.codes)) == 1 else None
    plain = all(word in _PLAIN_WORDS or re.fullmatch(r"\d+(m|nm)?", word) for word in said.rest)
    return said.words[0] if plain and len(set(said.words)) == 1 else None


@lru_cache(maxsize=4096)
def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[^A-Za-z0-9]+", text) if word)


def _without(words: tuple[str, ...], common: Counter[str]) -> tuple[str, ...]:
    left, kept = Counter(common), []
    for word in words:
        if left[word]:
            left[word] -= 1
        else:
            kept.append(word)
    return tuple(kept)


@lru_cache(maxsize=4096)
def _said(words: tuple[str, ...], sensor: Sensor) -> _Said:
    own, others = _spellings(sensor), _prefixed_codes()
    codes: list[str] = []
    names: list[str] = []
    rest: list[str] = []
    foreign, position = False, 0
    has_polarisations = any(band.name in _POLARISATIONS for band in sensor.all_bands)
    while position < len(words):
        polarisation = _polarisation(words[position]) if has_polarisations else None
        found, count = (polarisation, 1) if polarisation else _longest(words[position : position + 3], own)
        pair = _key("".join(words[position : position + 2]))
        if pair in others and pair not in own:
            foreign = True
        if found is None:
            rest.append(words[position].lower())
        elif polarisation or _CODE.fullmatch(_key("".join(words[position : position + count]))):
            codes.append(found)
        else:
            names.append(found)
        position += count
    if {"edge", "infra"}.intersection(rest):  # red edge, infra-red: of these, "red" names another band
        rest.extend(names)
    return _Said(tuple(codes), tuple(names), tuple(rest), foreign)


def _longest(words: tuple[str, ...], own: dict[str, str]) -> tuple[str | None, int]:
    """The band that the first one to three words name together (`red edge 1`, `SR_B4`, `B 02`), and their number."""
    for count in range(len(words), 0, -1):
        joined = _key("".join(words[:count]))
        if joined in own and (count < 3 or (words[0] + words[1]).isalpha()):
            return own[joined], count
    return None, 1


def _polarisation(word: str) -> str | None:
    match = _POLARISATION.search(word)
    return next(group for group in match.groups() if group).upper() if match else None


def _key(text: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", text.lower(), count=1)


@lru_cache(maxsize=256)
def _spellings(sensor: Sensor) -> dict[str, str]:
    return {_key("".join(_words(text))): band.name for band in sensor.all_bands for text in (band.name, *band.aliases)}


@lru_cache(maxsize=1)
def _prefixed_codes() -> frozenset[str]:
    """Codes of bands of all sensors that hold more than the band's number (SR_B4): the prefix tells the sensor."""
    names = {text for name in sensor_names() for band in get_sensor(name).all_bands for text in (band.name, *band.aliases) if "_" in text}
    return frozenset(_key("".join(_words(name))) for name in names if _CODE.fullmatch(_key("".join(_words(name)))))
