"""Columns by their names; where two may be meant, the option that decides is named."""

from typing import Any

import pytest

from eocore.errors import ConfigError
from eocore.onboarding.choices import DatasetChoices, Findings
from eocore.onboarding.columns import Columns, choose_columns


def choose(*names: str, **choices: Any) -> Columns:
    return choose_columns(names, DatasetChoices(**choices), findings=Findings())


@pytest.mark.parametrize(
    ("names", "tasks", "images", "text"),
    [
        (("image", "question", "answer"), ("chat",), {"image": "image"}, "answer"),
        (("Image Path", "Expression", "Mask"), ("referring",), {"Image Path": "Image Path"}, "Expression"),
        (("file_name", "Caption"), ("caption",), {"file_name": "file_name"}, "Caption"),
        (("s2_path", "sar_image", "class"), ("classification",), {"s2_path": "s2_path", "sar_image": "sar_image"}, "class"),
    ],
)
def test_known_names(names: tuple[str, ...], tasks: tuple[str, ...], images: dict[str, str], text: str) -> None:
    found = choose(*names)
    assert (found.tasks, found.images, found.text(tasks[0])) == (tasks, images, text)


def test_conversations_need_no_question() -> None:
    assert choose("id", "image", "conversations").tasks == ("chat",)


@pytest.mark.parametrize(
    ("names", "choices", "message"),
    [
        (
            ("image", "question", "answer", "caption"),
            {},
            r"several things can be learnt from them: chat, caption. Say what is meant with --task chat",
        ),
        (("image", "x"), {}, r"they tell nothing that can be learnt.*--task.*--text-column"),
        (("image", "caption", "description"), {}, r"columns caption, description may each be the caption. Say which with --text-column"),
        (("image", "file", "caption"), {}, r"columns image, file may each name the image. Name it with --image-column"),
        (("image", "sar", "caption"), {}, r"columns image, sar may each name the image. Say which do with --image-column"),
        (("x", "caption"), {}, r"no column of x, caption is known to name the image. Name it with --image-column"),
        (("image", "label", "mask"), {}, r"several things can be learnt from them: referring, classification"),
        (("image", "label", "mask"), {"tasks": ("referring",)}, r"no column is known to hold the phrase.*--text-column"),
        (("image", "phrase"), {"tasks": ("referring",)}, r"no column is known to hold the mask.*--mask-column"),
        (("image", "caption"), {"tasks": ("drawing",)}, r"there is no task 'drawing'. Choices: chat"),
        (("image", "caption"), {"text_columns": {"": "words"}}, r"the table has no column 'words'. Its columns: image, caption"),
        (("image", "a", "b"), {"tasks": ("caption", "classification"), "text_columns": {"": "a"}}, r"Write --text-column caption=a"),
    ],
)
def test_two_readings_are_refused(names: tuple[str, ...], choices: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose(*names, **choices)


def test_options_decide() -> None:
    found = choose("image", "label", "mask", tasks=("referring",), text_columns={"": "label"})
    assert found.text("referring") == "label"
    found = choose("a", "b", "words", tasks=("caption",), text_columns={"caption": "words"}, image_columns={"a": "a", "b": "b"})
    assert found.images == {"a": "a", "b": "b"} and found.text("caption") == "words"


def test_a_column_of_splits_gives_way_to_shares_of_ones_own() -> None:
    assert choose("image", "caption", "split").fields["split"] == "split"
    assert "split" not in choose("image", "caption", "split", fractions=(0.5, 0.0, 0.5)).fields
