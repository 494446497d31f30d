from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aerith.predictor import AerithPredictor
from eocore.data.records import ImageRef, Record
from eocore.errors import AlignmentError, ConfigError, DataError
from eocore.evaluate.protocols import Generates
from eocore.portable.messages import as_turns
from eocore.predict.following import BatchFollower, FollowedRow, FollowsAnswers
from eocore.predict.text_answers import TextAnswerer, TrainingChatPredictor
from eocore.sensors.scene import Scene
from eocore.system import AnswersImages, Chats, DeclaresRoles, PredictorOptions


@pytest.fixture(scope="module")
def answering(make_task: Callable[..., Any]) -> Any:
    torch.manual_seed(2)
    made = make_task(lora=None)
    made.eval()
    return made


@pytest.fixture(scope="module")
def folder(answering: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "aerith"
    answering.model.save_pretrained(path)
    answering.processor.save_pretrained(path)
    return path


def test_a_folder_answers_as_the_model_in_training(answering: Any, folder: Path, picture: np.ndarray) -> None:
    options = PredictorOptions(device="cpu")
    predictor, training = AerithPredictor(folder, options), TrainingChatPredictor(answering.model, answering.processor, options=options)
    for protocol in (Generates, AnswersImages, DeclaresRoles, Chats):
        assert isinstance(predictor, protocol)
    questions = [({"rgb": picture}, "[VQA] Is there water?"), ({"rgb": 255 - picture}, "What is it?"), ({}, "What is SAR?")]
    found = predictor.chat(questions, max_new_tokens=6)
    assert found == training.chat(questions, max_new_tokens=6)
    assert found == [predictor.chat([question], max_new_tokens=6)[0] for question in questions]


def test_records_are_answered_at_their_last_question(answering: Any, world: Path, scene_images: dict[str, Any]) -> None:
    answerer = TextAnswerer(answering.model, answering.processor, max_new_tokens=4)
    dataset = answering.data.build_dataset()
    samples = [dataset.read(type("Key", (), {"epoch": 0, "index": number})(), np.random.default_rng(0)) for number in range(2)]
    answers = answerer(samples)
    assert len(answers) == 2 and all(answer.masks.shape[0] == 0 for answer in answers)
    record, scenes = samples[0]
    asked = answering.processor.tokenizer.decode(answerer.prepare((record, scenes)).prompt.input_ids)
    assert record.turns[0].words.split("?")[0].split("]")[-1].strip() in asked and record.turns[1].words not in asked.split("?")[-1]


def test_what_cannot_be_asked_is_said(answering: Any, picture: np.ndarray) -> None:
    predictor = TrainingChatPredictor(answering.model, answering.processor, options=PredictorOptions())
    with pytest.raises(DataError, match=r"the model cannot answer this: .*reads one picture of the role rgb, found sar"):
        predictor.chat([({"sar": picture}, "What?")], max_new_tokens=2)
    answerer = TextAnswerer(answering.model, answering.processor, max_new_tokens=4)
    with pytest.raises(AlignmentError, match="asks no question"):
        answerer.prepare((Record("a", (), source="f.json#1"), ()))
    long = Record("a", (), turns=tuple(as_turns([("user", "water " * 600)])), source="f.json#2")
    with pytest.raises(DataError, match=r"f\.json#2: .*the model has positions for 511 and an answer"):
        answerer.prepare((long, ()))
    with pytest.raises(ConfigError, match="temperatur"):
        TrainingChatPredictor(answering.model, answering.processor, options=PredictorOptions(generation={"temperatur": 1}))


def test_a_conversation_is_written_as_it_is_generated(answering: Any, picture: np.ndarray) -> None:
    predictor = TrainingChatPredictor(answering.model, answering.processor, options=PredictorOptions())
    turns = [("user", "[VQA] Is there water?"), ("assistant", "yes"), ("user", "Where?")]
    written: list[str] = []
    scene: Any = picture
    answer = predictor.converse({"rgb": scene}, turns, max_new_tokens=6, write=written.append)
    assert "".join(written).strip() == answer.text
    assert predictor.converse({"rgb": scene}, turns, max_new_tokens=6).text == answer.text
    assert (
        predictor.predict({"rgb": scene}, "Where?", max_new_tokens=6).text
        == predictor.chat([({"rgb": scene}, "Where?")], max_new_tokens=6)[0]
    )


def test_a_batch_is_followed_and_each_answer_ends_by_itself(answering: Any, picture: np.ndarray) -> None:
    predictor = TrainingChatPredictor(answering.model, answering.processor, options=PredictorOptions())
    assert isinstance(predictor, FollowsAnswers)
    scene = Scene(np.moveaxis(picture, -1, 0).astype(np.float32), ("red", "green", "blue"), "rgb_uint8", "uint8", role="rgb")
    image = ImageRef("rgb", "rgb_uint8", ("a.png",))
    samples = [
        (Record(str(number), (image,), turns=tuple(as_turns([("user", f"What is at {number}?")])), source="a"), (scene,))
        for number in range(3)
    ]
    written: list[list[str]] = [[] for _ in samples]
    rows = [FollowedRow(write=pieces.append, limit=limit) for pieces, limit in zip(written, (3, 6, 4), strict=True)]
    rows[2].is_cancelled = lambda: rows[2].num_tokens >= 2
    answerer = predictor.followed_answerer(6, generation={}, objects=BatchFollower(rows, predictor.processor).objects)
    answers = answerer.answer([answerer.prepare(sample) for sample in samples])
    for answer, sample, pieces, limit in zip(answers[:2], samples, written, (3, 6), strict=False):
        assert answer.text == predictor.answerer(limit)([sample])[0].text == "".join(pieces).strip()
    assert [row.num_tokens for row in rows][:2] == [3, 6] and rows[2].finish == "cancelled" and rows[2].num_tokens == 2
