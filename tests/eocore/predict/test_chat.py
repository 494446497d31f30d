"""The chat loop with a model of two rules: it counts, and it masks what is bright."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eocore.errors import ConfigError, DataError
from eocore.predict.answers import Prediction
from eocore.predict.chat import Chat, ChatOptions, Converses
from eocore.predict.image_files import ImageFile, read_images
from eocore.sensors.scene import Scene


class Counter:
    """Answers with the number of the round; asked to segment, masks pixels that are brighter than the mean."""

    def converse(
        self,
        scenes: Mapping[str, Scene],
        turns: Sequence[tuple[str, str]],
        *,
        max_new_tokens: int,
        write: Callable[[str], None] | None = None,
    ) -> Prediction:
        assert [role for role, _ in turns] == (["user", "assistant"] * len(turns))[: len(turns)]
        text = turns[-1][1]
        if "fail" in text:
            raise DataError("the model cannot answer this: too long")
        if "stop" in text:
            raise KeyboardInterrupt
        words = f"answer {len(turns) // 2 + 1} about {', '.join(scenes) or 'nothing'}".split()[:max_new_tokens]
        for number, word in enumerate(words):
            if write is not None:
                write(word if number == 0 else f" {word}")
        bright = [np.asarray(scene.pixels.mean(0) > scene.pixels.mean()) for scene in scenes.values()] if "segment" in text else []
        return Prediction(" ".join(words), np.array(bright[:1]), next(iter(scenes), ""), scenes)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    return path


Talk = Callable[..., tuple[list[str], int]]


@pytest.fixture
def talk(picture: Path, tmp_path: Path) -> Talk:
    """Hands lines to a chat about the picture; returns the lines that were written, and how many lines failed."""

    def run(*lines: str, **choices: Any) -> tuple[list[str], int]:
        output, waiting = io.StringIO(), iter(lines)
        scenes = read_images({"optical": ImageFile((str(picture),))})
        chat = Chat(Counter(), scenes, output=output, options=ChatOptions(out=tmp_path / "out", **choices))
        failed = chat.run(lambda: next(waiting, None))
        return output.getvalue().splitlines(), failed

    return run


def test_questions_are_answered_in_rounds(talk: Talk) -> None:
    assert isinstance(Counter(), Converses)
    assert talk("What is it?", "", "  And that? ") == (["answer 1 about rgb", "answer 2 about rgb"], 0)


def test_it_ends_at_quit(talk: Talk) -> None:
    assert talk("/quit", "What is it?") == ([], 0)


def test_history_and_a_new_beginning(talk: Talk) -> None:
    lines, _ = talk("/history", "One?", "/history", "/new", "/history", "Two?")
    assert lines == [
        "  nothing was asked yet",
        "answer 1 about rgb",
        "  you: One?",
        "  model: answer 1 about rgb",
        "  nothing was asked yet",
        "answer 1 about rgb",
    ]


def test_images_are_described_and_exchanged(talk: Talk, picture: Path, tmp_path: Path) -> None:
    other = tmp_path / "b c.png"
    Image.new("L", (8, 6)).save(other)
    lines, failed = talk("/image", "One?", f"/image sar='{other}'", "Two?")
    assert failed == 0
    assert lines == [
        f"  rgb: rgb_uint8, 20 x 30 px, bands red, green, blue, {picture}",
        "answer 1 about rgb",
        f"  sar: grey_uint8, 6 x 8 px, bands grey, {other}",
        "answer 1 about sar",
    ]


def test_masks_are_described_and_saved_with_the_conversation(talk: Talk, tmp_path: Path) -> None:
    lines, failed = talk("What is it?", "/masks", "Please segment it.", "/masks", "/save", f"/save {tmp_path / 'mine'}")
    assert failed == 0
    assert lines[1] == "  the last answer has no masks"
    assert lines[3] == "  1 mask(s): /masks describes, /save writes them"
    assert lines[4].startswith("  mask 1: ") and "of 600 px" in lines[4] and lines[4].endswith("of the rgb image")
    for folder in (tmp_path / "out" / "round_02", tmp_path / "mine"):
        names = {path.name for path in folder.iterdir()}
        assert names == {"answer.txt", "answer.json", "mask.png", "mask_01.png", "overlay.png", "conversation.json"}
        assert [turn["text"] for turn in json.loads((folder / "conversation.json").read_text())] == [
            "What is it?",
            "answer 1 about rgb",
            "Please segment it.",
            "answer 2 about rgb",
        ]


@pytest.mark.parametrize(
    ("line", "error", "text"),
    [
        ("/imagine", ConfigError, "there is no command /imagine; there are /image, /masks, /save, /history, /new, /help, /quit."),
        ("/image photo=a.png", ConfigError, "/image photo=a.png: expected INPUT=FILE, with INPUT one of optical, rgb, multispectral, sar."),
        ("/image rgb=missing.png", DataError, "missing.png"),
        ("/image 'rgb", ConfigError, "Close the quotation, or leave the quotes out."),
        ("/masks", DataError, "/masks: nothing was answered yet. Ask a question first."),
        ("/save", DataError, "/save: nothing was answered yet. Ask a question first."),
        ("/save a b", ConfigError, "/save: b is not understood. See /help."),
        ("please fail", DataError, "the model cannot answer this: too long"),
    ],
)
def test_a_line_that_fails_is_explained_and_the_conversation_continues(talk: Talk, line: str, error: type, text: str) -> None:
    lines, failed = talk(line, "What is it?")
    assert failed == 1
    assert lines[0].startswith(f"{error.__name__}: ") and text in lines[0]
    assert lines[1] == "answer 1 about rgb"


def test_saving_twice_replaces_nothing(talk: Talk) -> None:
    lines, failed = talk("One?", "/save", "/save")
    assert failed == 1
    assert "holds an earlier prediction" in lines[-1]


def test_an_interrupted_question_is_forgotten(talk: Talk) -> None:
    lines, failed = talk("stop", "What is it?")
    assert failed == 0
    assert lines == ["", "(stopped; this question is not part of the conversation)", "answer 1 about rgb"]


def test_help_names_every_command(talk: Talk, tmp_path: Path) -> None:
    lines, _ = talk("/help")
    text = "\n".join(lines)
    assert all(name in text for name in ("/image", "/masks", "/save", "/history", "/new", "/help", "/quit", str(tmp_path / "out")))


def test_an_empty_answer_is_said(talk: Talk) -> None:
    assert talk("What is it?", max_new_tokens=0)[0] == ["(the model's answer is empty)"]
