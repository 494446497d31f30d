"""OlmoEarth's encoder as a part of a model: the package's own parts and tokens, gaps, batches, and refusals."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("olmoearth_pretrain_minimal")
from olmoearth_pretrain_minimal import OlmoEarthPretrain_v1
from olmoearth_pretrain_minimal.olmoearth_pretrain_v1.utils.datatypes import MaskedOlmoEarthSample

from earthfm.model.olmoearth import TRAINING_ONLY, EncoderSizes, OlmoEarthEncoder, released_sizes, reset_band_indices
from earthfm.model.sensor_inputs import SENSORS, Normaliser, SensorInputs, band_names, join_samples, stack_images

RELEASES = [
    *(("v1", size) for size in ("nano", "tiny", "base", "large")),
    *(("v1.1", size) for size in ("nano", "tiny", "base")),
    *(("v1.2", size) for size in ("nano", "tiny", "small", "base")),
    ("v1.3", "base"),
]
SMALL = {"embedding_size": 32, "depth": 2, "num_heads": 2}
UNITS = {"sentinel2_l2a": "reflectance", "sentinel1": "sigma0_db", "landsat": "reflectance"}


def encoder(version: str = "v1") -> OlmoEarthEncoder:
    torch.manual_seed(0)
    hidden = () if version == "v1" else (8,)
    return OlmoEarthEncoder(EncoderSizes(version=version, pixel_hidden_sizes=hidden, **SMALL)).eval()


def sample(images: dict[str, list[str]], *, side: int = 16, seed: int = 0, version: str = "v1") -> SensorInputs:
    """One sample with random images of these sensors at these times."""
    rng, made = np.random.default_rng(seed), Normaliser(version)
    series = {}
    for name, times in images.items():
        low, high = (-25, 0) if name == "sentinel1" else (0, 0.5)
        scenes = [
            SimpleNamespace(
                pixels=rng.uniform(low, high, (len(band_names(name)), side, side)).astype(np.float32),
                bands=band_names(name),
                unit=UNITS[name],
            )
            for _ in times
        ]
        series[name] = [(time, made(scene, name)) for time, scene in zip(times, scenes, strict=True)]
    return stack_images(series, patch_size=8, month_without_time=1)


@torch.no_grad()
def tokens(made: OlmoEarthEncoder, inputs: SensorInputs, patch_size: int = 8) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor] = made(inputs, patch_size)
    return found


@pytest.mark.parametrize(("version", "size"), RELEASES)
def test_released_encoders_have_the_packages_parts(version: str, size: str) -> None:
    """But for those of maps that no encoder reads, and of losses of OlmoEarth's own training."""
    with torch.device("meta"):
        ours = OlmoEarthEncoder(released_sizes(version, size)).model
        theirs = OlmoEarthPretrain_v1(size, version).encoder
    found = {name: value.shape for name, value in ours.state_dict().items()}
    known = {name: value.shape for name, value in theirs.state_dict().items()}
    assert {name: known.get(name) for name in found} == found
    rest = [name for name in set(known) - set(found) if not name.startswith(TRAINING_ONLY)]
    assert not [name for name in rest if any(f".{sensor}" in name for sensor in SENSORS)]
    assert all("per_modality" in name for name in rest)


@pytest.mark.parametrize("version", ["v1", "v1.2"])
def test_tokens_are_those_of_the_package(version: str) -> None:
    made = OlmoEarthEncoder(released_sizes(version, "nano")).eval()
    theirs = OlmoEarthPretrain_v1("nano", version).encoder.eval()
    theirs.load_state_dict(made.model.state_dict(), strict=False)
    inputs = sample({"sentinel2_l2a": ["2021-06-03", "2021-08-20"]}, version=version)
    pixels = inputs.sentinel2_l2a
    assert pixels is not None
    sets = made.sizes.num_band_sets["sentinel2_l2a"]
    with torch.no_grad():
        mask = torch.zeros(*pixels.shape[:-1], sets, dtype=torch.long)
        given = MaskedOlmoEarthSample(timestamps=inputs.timestamps, sentinel2_l2a=pixels, sentinel2_l2a_mask=mask)
        expected = theirs(given, patch_size=8, fast_pass=True)["tokens_and_masks"].sentinel2_l2a
    found, missing = tokens(made, inputs)
    assert expected.shape == (1, 2, 2, 2, sets, 128) and not missing.any()
    torch.testing.assert_close(found, expected.flatten(1, -2))


@pytest.mark.parametrize("version", ["v1", "v1.1", "v1.2"])
def test_a_batch_of_unlike_samples_gives_each_its_own_tokens(version: str) -> None:
    """Other sensors, dates and sizes: the package's pass with gaps would attend to padding."""
    made = encoder(version)
    kinds: list[tuple[dict[str, list[str]], int]] = [
        ({"sentinel2_l2a": ["2021-06-03"]}, 16),
        ({"sentinel2_l2a": ["2021-06-03", "2021-08-20"], "sentinel1": ["2021-06-05"]}, 24),
        ({"landsat": ["2020-01-01"], "sentinel1": ["2020-01-01"]}, 8),
    ]
    apart = [sample(images, side=side, seed=number, version=version) for number, (images, side) in enumerate(kinds)]
    found, missing = tokens(made, join_samples(apart))
    for row, inputs in enumerate(apart):
        alone, lacks = tokens(made, inputs)
        torch.testing.assert_close(found[row][~missing[row]], alone[0][~lacks[0]], rtol=1e-4, atol=1e-5)
    assert not found[missing].any()


def test_month_and_order_of_dates_reach_the_tokens() -> None:
    made = encoder()
    june, again, january = (sample({"sentinel2_l2a": [time]}) for time in ("2021-06-03", "2020-06-23", "2021-01-03"))
    first, same, other = (tokens(made, inputs)[0] for inputs in (june, again, january))
    torch.testing.assert_close(first, same)
    assert not torch.allclose(first, other, atol=1e-3)


@pytest.mark.parametrize(("patch_size", "count"), [(8, 4), (4, 16), (2, 64)])
def test_patches_may_be_smaller(patch_size: int, count: int) -> None:
    scene = SimpleNamespace(pixels=np.full((12, 16, 16), 0.2, np.float32), bands=band_names("sentinel2_l2a"), unit="reflectance")
    image = Normaliser("v1")(scene, "sentinel2_l2a")
    inputs = stack_images({"sentinel2_l2a": [("", image)]}, patch_size=patch_size, month_without_time=1)
    assert tokens(encoder(), inputs, patch_size)[0].shape == (1, 3 * count, 32)


def test_band_indices_are_written_anew() -> None:
    made = encoder("v1.1")
    tables = {name: value.clone() for name, value in made.named_buffers() if name.endswith("_buffer")}
    for name, value in made.named_buffers():
        if name in tables:
            value.zero_()
    assert sum(reset_band_indices(module) for module in made.modules()) == 1
    assert tables and all(torch.equal(value, tables[name]) for name, value in made.named_buffers() if name in tables)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": "v2"}, "encoder.version='v2' is unknown; choices: v1, v1.1"),
        ({"depth": 0}, "are positive"),
        ({"embedding_size": 40}, "must be a multiple of 16"),
    ],
)
def test_sizes_that_make_no_encoder_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderSizes(**{**SMALL, **fields})  # type: ignore[arg-type]


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"there is no OlmoEarth v1.1 large. Releases: v1: nano, tiny, base, large; v1.1: nano"):
        released_sizes("v1.1", "large")
    inputs = sample({"sentinel2_l2a": ["2021-06-03"]})
    with pytest.raises(ValueError, match="patch_size=16 px; this encoder takes 1 to 8 px"):
        encoder()(inputs, 16)
    lacks = inputs.sentinel2_l2a_missing
    assert lacks is not None
    with pytest.raises(ValueError, match="a sample has no patch with data"):
        encoder()(inputs._replace(sentinel2_l2a_missing=torch.ones_like(lacks)), 8)
