import io
import json

import numpy as np
import pytest
from PIL import Image

from eocore.errors import ConfigError, DataError
from eocore.evaluate.reporting import plots
from eocore.evaluate.scoring.score import score_predictions


def image(value: int = 100, size: int = 12) -> np.ndarray:
    return np.full((size, size, 3), value, dtype=np.uint8)


def square(size: int = 12, *, at: int = 2, side: int = 6) -> np.ndarray:
    mask = np.zeros((size, size), dtype=bool)
    mask[at : at + side, at : at + side] = True
    return mask


def decode(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def colours_of(drawn: np.ndarray) -> set[tuple[int, int, int]]:
    """Those of an (H, W, 3) image; as whole numbers, since rows of three take seconds to sort."""
    packed = np.unique(drawn.astype(np.int64) @ [1 << 16, 1 << 8, 1])
    return {(int(value) >> 16, int(value) >> 8 & 255, int(value) & 255) for value in packed}


def test_overlay_tints_inside_draws_the_border_and_leaves_the_rest():
    before = image()
    drawn = plots.draw_overlay(before, square(), colour=(255, 0, 0))
    assert (drawn[0, 0] == 100).all()
    assert drawn[2, 2].tolist() == drawn[7, 4].tolist() == [255, 0, 0]
    assert drawn[4, 4].tolist() == [170, 55, 55]
    assert (before == 100).all()


def test_overlay_border_is_drawn_at_the_edge_of_the_image():
    drawn = plots.draw_overlay(image(), np.ones((12, 12), dtype=bool), colour=(255, 0, 0))
    assert (drawn[0] == (255, 0, 0)).all()
    assert drawn[1, 1].tolist() != [255, 0, 0]


def test_one_pixel_can_be_seen():
    drawn = plots.draw_overlay(image(), square(side=1), colour=(255, 0, 0))
    assert (drawn != 100).any(axis=2).sum() == 1


@pytest.mark.parametrize("picture", [np.zeros((12, 12), np.uint8), np.zeros((12, 12, 3)), np.zeros((3, 12, 12), np.uint8)])
def test_overlay_needs_a_display_image(picture):
    with pytest.raises(DataError, match=r"an overlay is drawn on \(H, W, 3\) uint8, found .* Render the scene"):
        plots.draw_overlay(picture, square(), colour=(255, 0, 0))


@pytest.mark.parametrize("mask", [square(8), square().astype(np.uint8)])
def test_overlay_needs_a_mask_of_its_size(mask):
    with pytest.raises(DataError, match=r"the mask must be bool and \(12, 12\) like the image, found .* Resize or threshold"):
        plots.draw_overlay(image(), mask, colour=(255, 0, 0))


def test_row_shows_each_input_the_truth_and_each_prediction_on_its_own_image():
    row = plots.overlay_row(
        title="lake",
        images={"optical": image(200), "sar": image(50)},
        truth=square(),
        predictions={"optical": None, "sar": square(), "fused": square(at=3)},
    )
    assert [panel.title for panel in row.panels] == ["optical", "sar", "truth", "optical: no mask", "sar: IoU 1.00", "fused: IoU 0.53"]
    assert [int(panel.image[0, 0, 0]) for panel in row.panels] == [200, 50, 200, 200, 50, 200]
    assert (row.panels[3].image == 200).all()


def test_row_of_masks_of_another_size():
    with pytest.raises(DataError, match=r"the mask must be bool and \(12, 12\)"):
        plots.overlay_row(title="lake", images={"optical": image()}, truth=square(), predictions={"optical": square(8)})


def test_large_panels_are_made_smaller_small_ones_kept():
    assert decode(plots.encode_png(image(size=300), max_side=100)).shape == (100, 100, 3)
    assert (decode(plots.encode_png(image(size=30), max_side=100)) == image(size=30)).all()


@pytest.mark.parametrize("rate", [{}, {"lr": 0.1}])
def test_curves_are_drawn_also_over_steps_that_are_not_finite(rate):
    steps = [{"step": float(step), "loss": 3.0 / step, "loss_text": 1.0, **rate} for step in range(1, 9)]
    steps[3]["loss"] = float("nan")
    steps.append({"step": 9.0, "loss_mask": 0.4})
    drawn = decode(plots.draw_curves(steps))
    assert len(colours_of(drawn)) > 50


def test_results_of_validation_are_drawn_in_the_colours_of_their_settings():
    steps = [{"step": float(step), "loss": 3.0 / step} for step in range(1, 9)]
    held_out = {"val/loss": 2.0, "val/fused/loss": 2.0, "val/fused/mcq/accuracy": 0.5, "val/sar/mcq/accuracy": 0.25}
    drawn = decode(plots.draw_curves([*steps, {"step": 4.0, **held_out}, {"step": 8.0, **held_out}]))
    colours = {tuple(colour) for colour in np.unique(drawn.reshape(-1, 3), axis=0).tolist()}
    told = {name: tuple(bytes.fromhex(plots.SETTING_COLOURS[name][1:])) for name in ("fused", "sar", "optical")}
    assert told["fused"] in colours and told["sar"] in colours and told["optical"] not in colours
    assert drawn.shape[0] > decode(plots.draw_curves(steps)).shape[0]


def test_score_chart_has_a_bar_of_each_setting(predicted):
    drawn = decode(plots.draw_scores(score_predictions(predicted)))
    colours = colours_of(drawn)
    for setting in ("optical", "sar", "fused"):
        assert tuple(bytes.fromhex(plots.SETTING_COLOURS[setting][1:])) in colours
    assert tuple(bytes.fromhex(plots.SETTING_COLOURS["multispectral"][1:])) not in colours


def test_numbers_of_bars_stand_clear_of_error_bars_and_of_the_ends_of_short_bars():
    axis = plots.make_figure(width=5.6, height=2.3).subplots()
    heights, reach = [0.0, 2.0, 8.0, 13.0, 50.0, 60.0, 100.0], np.array([[0, 2, 6, 0, 45, 10, 40], [0, 8, 12, 0, 45, 10, 0]])
    axis.bar(np.arange(7), heights)
    top = plots.label_bars(axis, np.arange(7), heights=heights, reach=reach)
    axis.set_ylim(0, max(105, top))
    axis.figure.canvas.draw()
    to_axis = axis.transData.inverted()
    for label, height, (below, above) in zip(axis.texts, heights, reach.T, strict=True):
        (_, low), (_, high) = (to_axis.transform(corner) for corner in label.get_window_extent().get_points())
        assert (low > 0 and high < height - below) or (height + above < low and high < axis.get_ylim()[1]), label.get_text()
    assert [label.get_color() == "white" for label in axis.texts] == [False, False, False, True, False, True, True]


def test_score_chart_of_settings_with_different_tasks_and_of_one_sample(predicted):
    optical = [item for item in predicted if item.sensor == "optical" and item.task == "mcq"]
    sar = [item for item in predicted if item.sensor == "sar" and item.task == "vqa"]
    assert decode(plots.draw_scores(score_predictions([*optical, *sar]))).size
    assert decode(plots.draw_scores(score_predictions(optical[:1]))).size


def test_charts_without_matplotlib_name_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"charts need matplotlib.*pip install 'eocore-earthmind\[eval\]'"):
        plots.draw_curves([json.loads('{"step": 1.0, "loss": 1.0}')])
