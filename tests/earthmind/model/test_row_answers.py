"""Questions that join a running batch are answered, and their masks drawn, as each alone."""

from collections.abc import Callable
from typing import Any

import torch
from earthmind_models import Dictation
from tolerances import ACROSS_DECODING

from earthmind.predictor import PreparedRecord, RecordAnswerer
from eocore.portable.answer_row import RowOptions
from eocore.portable.image_memory import ImageMemory
from eocore.predict.joining import Asked, JoinedAnswers, JoiningAnswerer


def test_joined_answers_and_masks_are_those_of_each_alone(tiny: Any, make_scenes: Callable[..., Any]) -> None:
    texts = ("it is [SEG] and", "[SEG]", "water [SEG] water water water water [SEG]", "no")
    end = tiny.tokenizer.convert_tokens_to_ids("<|end|>")
    words = [[*tiny.tokenizer(text, add_special_tokens=False).input_ids, end] for text in texts]
    shown = [make_scenes("rgb", "sar"), *[make_scenes("sar", seed=3)] * 3]
    encoded = [
        tiny.processor.encode(images, [("user", f"<image>\nWhat is {number}?")], for_generation=True) for number, images in enumerate(shown)
    ]
    asked = [PreparedRecord(str(number), sample, (40, 48)) for number, sample in enumerate(encoded)]
    answerer = RecordAnswerer(tiny.model, tiny.processor, memory=ImageMemory(2**28))
    settings = answerer.row_settings()
    assert isinstance(answerer, JoiningAnswerer) and settings is not None
    assert RecordAnswerer(tiny.model, tiny.processor, generation={"cache_implementation": "static"}).row_settings() is None
    options = [RowOptions(max_new_tokens=40, settings=settings, processors=[Dictation([row])]) for row in words]
    joined, found = JoinedAnswers(answerer), dict[int, Any]()
    for together in ((0, 1), (2,), (3,)):
        assert not joined.join([Asked(key=number, prepared=asked[number], options=options[number]) for number in together])
        for _ in range(2):
            found |= {left.asked.key: left for left in joined.step()}
    while len(joined):
        found |= {left.asked.key: left for left in joined.step()}
    for number, (record, row) in enumerate(zip(asked, words, strict=True)):
        batch = tiny.processor.collate([record.encoded], left_pad=True)
        rows = [RowOptions(max_new_tokens=40, processors=[Dictation([row])])]
        (alone,) = tiny.model.answer(batch, tiny.processor, sizes=[record.size], rows=rows)
        answer = found[number].answer
        assert answer.text == alone.text and answer.masks.shape == (texts[number].count("[SEG]"), 40, 48)
        torch.testing.assert_close(answer.mask_logits, alone.mask_logits, **ACROSS_DECODING.close)
