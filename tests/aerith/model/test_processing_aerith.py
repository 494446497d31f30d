from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from aerith_models import TURNS
from PIL import Image

from aerith.predictor import read_processor
from eocore.portable.image_tiling import resize
from eocore.portable.position_limit import SampleTooLongError
from eocore.portable.row_packing import IGNORE
from eocore.portable.vision_layout import SampleError


def test_each_tower_gets_the_whole_picture_in_its_own_size(task: Any, picture: np.ndarray) -> None:
    sample = task.processor.encode({"rgb": picture}, TURNS)
    for found, side in ((sample.images.clip, 28), (sample.images.dinov3, 32)):
        assert found.shape == (1, 3, side, side) and found.dtype == torch.uint8
        assert np.array_equal(found[0].numpy(), resize(picture.transpose(2, 0, 1), (side, side)))


def test_a_mark_at_a_corner_stays_at_its_corner_whatever_the_shape(task: Any) -> None:
    picture = np.zeros((20, 80, 3), dtype=np.uint8)
    picture[:5, 60:] = 255  # the box [0.75, 0, 1, 0.25]
    shown = task.processor.encode({"rgb": picture}, TURNS).images.clip[0, 0].float()
    assert shown[:6, 22:].mean() > 200 and shown[8:].max() < 40 and shown[:, :20].max() < 40


def test_the_image_stands_where_it_is_shown_and_only_answers_are_learned(task: Any, picture: np.ndarray) -> None:
    prompt = task.processor.encode({"rgb": picture}, TURNS).prompt
    assert len(prompt.placeholders) == 5 and torch.equal(prompt.placeholders.diff(), torch.ones(4, dtype=torch.long))
    text = task.processor.tokenizer
    assert text.decode(prompt.labels[prompt.labels != IGNORE]).replace(" ", "") == "yes<|im_end|>forest<|im_end|>"
    assert (prompt.labels[prompt.placeholders] == IGNORE).all()


def test_text_alone_has_no_image(task: Any) -> None:
    sample = task.processor.encode({}, [("user", "What is SAR?"), ("assistant", "Radar.")])
    assert len(sample.images.clip) == 0 and len(sample.prompt.placeholders) == 0


@pytest.mark.parametrize(
    ("images", "turns", "message"),
    [
        ({"sar": 0}, TURNS, "reads one picture of the role rgb, found sar"),
        ({}, TURNS, "holds 1 <image>"),
        ({"rgb": "picture"}, [("user", "no image"), ("assistant", "a")], "holds 0 <image>"),
    ],
)
def test_what_does_not_fit_is_said(task: Any, picture: np.ndarray, images: dict[str, Any], turns: Any, message: str) -> None:
    given = {name: picture if value == "picture" else value for name, value in images.items()}
    with pytest.raises(SampleError, match=message):
        task.processor.encode(given, turns, sample_id="r1")


def test_measured_bands_are_no_picture(task: Any) -> None:
    scene = SimpleNamespace(pixels=np.zeros((3, 8, 8), dtype=np.float32), bands=("B02", "B03", "B04"), unit="reflectance")
    with pytest.raises(SampleError, match=r"pictures of red, green and blue, found B02, B03, B04 \[reflectance\]"):
        task.processor.encode({"rgb": scene}, TURNS)


def test_too_long_is_an_error_and_nothing_is_cut(task: Any, picture: np.ndarray) -> None:
    with pytest.raises(SampleTooLongError, match=r"tokens \(5 of them the image\), at most 9 are allowed; nothing was cut"):
        task.processor.encode({"rgb": picture}, TURNS, max_length=9)


def test_prompts_of_the_chat_template_are_encoded_as_turns(task: Any, picture: np.ndarray) -> None:
    processor = task.processor
    content = [{"type": "image"}, {"type": "text", "text": "[VQA] Is there water?"}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False)
    inputs = processor(images=Image.fromarray(picture), text=text)
    sample = processor.encode({"rgb": picture}, TURNS[:1], for_generation=True)
    assert torch.equal(inputs["input_ids"][0], sample.prompt.input_ids)
    assert torch.equal(inputs["placeholders"], sample.prompt.placeholders)
    assert torch.equal(inputs["images"].dinov3, sample.images.dinov3)


def test_it_is_what_its_folder_says(task: Any, tmp_path: Path) -> None:
    task.processor.save_pretrained(tmp_path)
    again = read_processor(tmp_path)
    assert again.options == task.processor.options and again.chat_format == task.processor.chat_format
