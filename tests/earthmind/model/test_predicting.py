"""One model that several threads ask, and pipelines that batch, on a converted model loaded with the code it ships."""

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForCausalLM, AutoProcessor, pipeline

from earthmind.model.answering import one_at_a_time

THREADS = 4
CLOSE = {"atol": 1e-4, "rtol": 1e-4}
"""Of mask logits: how many threads share an operator may differ between a thread that works alone and one of several."""
WORDS = ("water", "forest", "grass", "built area")


def picture(number: int) -> Image.Image:
    """A picture of its own for each number, of one of several sizes."""
    size = (40 + 16 * (number % 3), 60 + 8 * (number % 5), 3)
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, size, dtype=np.uint8))


@pytest.fixture(scope="module")
def folder(make_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny converted model that likes to write [SEG]."""
    from earthmind.export import pack
    from eocore.export.hf import write_checkpoint

    made = make_tiny(processor={"max_tiles": 2})
    shipment = pack(SimpleNamespace(model=made.model, processor=made.processor))
    made.model.generation_config.sequence_bias = [[[made.processor.seg_token_id], 4.0]]
    out = tmp_path_factory.mktemp("converted") / "asked_by_threads"
    write_checkpoint(shipment, out, card="# tiny\n")
    return out


@pytest.fixture(scope="module")
def shipped(folder: Path) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True).eval()
    assert type(model).__module__.startswith("transformers_modules.")
    return model


@pytest.fixture
def one_operator_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def question(number: int) -> tuple[dict[str, Any], str]:
    images = ({"rgb": picture(number)}, {"sar": picture(number), "rgb": picture(number + 50)}, {})[number % 3 if number % 7 else 2]
    return images, f"Please segment the {WORDS[number % 4]} in this image." if number % 2 else "What is it?"


def ask(model: Any, number: int) -> list[tuple[str, Any]]:
    """Texts and mask logits (or masks) of one request; requests are of all the kinds there are."""
    kind, settings = number % 5, {"max_new_tokens": 4 + number % 4}
    if kind == 0:
        found = model.predict_forward(image=picture(number), text="segment the water", **settings)
        return [(found["prediction"], torch.from_numpy(np.array(found["prediction_masks"], dtype=np.float32)))]
    if kind == 1:
        found = model.predict_forward_multi(image=picture(number), rgb_image=picture(number + 1), text="What is it?", **settings)
        return [(found["prediction"], torch.from_numpy(np.array(found["prediction_masks"], dtype=np.float32)))]
    if kind == 2:
        answers = model.predict_batch([question(number + step) for step in range(2 + number % 3)], **settings)
    elif kind == 3:  # two questions about one image: their common part is read once
        answers = model.predict_batch([({"rgb": picture(number)}, text) for text in ("What?", "Why?", "segment it")], **settings)
    else:
        answers = [model.predict(*question(number), generation={"stop_strings": [WORDS[number % 4]]}, **settings)]
    return [(answer.text, answer.mask_logits) for answer in answers]


def same(ours: list[tuple[str, Any]], theirs: list[tuple[str, Any]]) -> None:
    assert [text for text, _ in ours] == [text for text, _ in theirs]
    for (_, mine), (_, yours) in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, yours, **CLOSE)


@pytest.mark.usefixtures("one_operator_thread")
def test_several_threads_get_the_answers_of_one(shipped: Any) -> None:
    numbers = range(40)
    with ThreadPoolExecutor(1) as pool:
        alone = list(pool.map(lambda number: ask(shipped, number), numbers))
    assert sum(len(masks) for answers in alone for _, masks in answers) > 40, "too few masks to mix up"
    start = Barrier(THREADS)

    def work(first: int) -> dict[int, Any]:
        start.wait()
        return {number: ask(shipped, number) for number in range(first, len(numbers), THREADS)}

    with ThreadPoolExecutor(THREADS) as pool:
        together = {number: answers for part in pool.map(work, range(THREADS)) for number, answers in part.items()}
    for number in numbers:
        same(together[number], alone[number])


def test_a_processor_is_loaded_once_whoever_asks_first(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    start = Barrier(THREADS)

    def take(_: int) -> int:
        start.wait()
        return id(model.processor)

    with ThreadPoolExecutor(THREADS) as pool:
        assert len(set(pool.map(take, range(THREADS)))) == 1


def test_a_model_that_was_asked_can_be_copied(shipped: Any) -> None:
    shipped.predict(*question(1), max_new_tokens=2)
    copied = copy.deepcopy(shipped)
    assert copied.predict(*question(1), max_new_tokens=2).text == shipped.predict(*question(1), max_new_tokens=2).text


@pytest.mark.usefixtures("one_operator_thread")
def test_one_processor_prepares_for_several_threads(folder: Path) -> None:
    """User text is split from special tokens, the frame is not, whatever other threads ask of the tokenizer meanwhile."""
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    texts = [f"{'[SEG]' if number % 2 else 'plain'} {number} <|end|> of {WORDS[number % 4]}" for number in range(200)]
    alone = [processor.encode({}, [("user", text)], for_generation=True).input_ids.tolist() for text in texts]
    fresh = AutoProcessor.from_pretrained(folder, trust_remote_code=True)

    def prepare(number: int) -> list[int]:
        fresh.stop_settings()
        ids: list[int] = fresh.encode({}, [("user", texts[number])], for_generation=True).input_ids.tolist()
        assert fresh.read_answer(torch.tensor(ids[:5]))
        return ids

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(prepare, range(len(texts)))) == alone


@pytest.mark.parametrize(
    ("rope", "waits"),
    [
        (None, False),
        ({"rope_type": "default", "rope_theta": 1e4}, False),
        ({"rope_type": "longrope", "long_factor": [1.0]}, True),
        ({"full_attention": {"rope_type": "dynamic"}, "sliding_attention": {"rope_type": "default"}}, True),
    ],
)
def test_models_that_write_to_themselves_are_asked_by_one_thread_at_a_time(rope: Any, waits: bool) -> None:
    entered = Event()

    def enter() -> None:
        with one_at_a_time(SimpleNamespace(rope_parameters=rope)):
            entered.set()

    with one_at_a_time(SimpleNamespace(rope_parameters=rope)):
        other = Thread(target=enter)
        other.start()
        assert entered.wait(0.3 if waits else 120) is not waits
    other.join(120)
    assert entered.is_set()


def chat(text: str, *pictures: Image.Image) -> list[dict[str, Any]]:
    shown = [{"type": "image", "image": image} for image in pictures]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": text}]}]


class TestPipelines:
    CHATS = [  # noqa: RUF012 (read only)
        chat("What?", picture(1)),
        chat("Tell me all about it, in as many words as you like."),
        chat("segment the water in this image.", picture(2), picture(3)),
        chat("Is there grass?", Image.new("RGB", (90, 30), "green")),
        [*chat("What?", picture(4)), {"role": "assistant", "content": [{"type": "text", "text": "water"}]}, *chat("Where is it?")],
    ]

    @pytest.fixture(scope="class")
    @classmethod
    def pipe(cls, folder: Path) -> Any:
        return pipeline("image-text-to-text", model=str(folder), trust_remote_code=True)

    def texts(self, pipe: Any, chats: Any, **settings: Any) -> list[Any]:
        given = {"max_new_tokens": 5, "return_full_text": False, "skip_special_tokens": False, **settings}
        return [answer[0]["generated_text"] for answer in pipe(text=chats, **given)]

    @pytest.mark.parametrize("size", [2, 3, 5])
    def test_a_batch_answers_as_single_chats_do(self, pipe: Any, size: int) -> None:
        single = self.texts(pipe, self.CHATS)
        assert len(set(single)) > 2
        assert self.texts(pipe, self.CHATS, batch_size=size) == single

    def test_text_alone_makes_batches_too(self, pipe: Any) -> None:
        chats = [chat("Hello"), chat("What is the area used for?"), chat("Sure")]
        assert self.texts(pipe, chats, batch_size=3) == self.texts(pipe, chats)

    def test_whole_conversations_come_back(self, pipe: Any) -> None:
        together = self.texts(pipe, self.CHATS, batch_size=5, return_full_text=True)
        assert together == self.texts(pipe, self.CHATS, return_full_text=True)
        assert [message["role"] for message in together[4]] == ["user", "assistant", "user", "assistant"]

    def test_images_and_texts_apart(self, pipe: Any) -> None:
        pictures, texts = [picture(1), picture(2), picture(3)], ["<image>\nWhat?", "<image>\nsegment the water", "<image>\nWhy?"]
        settings = {"max_new_tokens": 5, "return_full_text": False, "skip_special_tokens": False}
        one = [pipe(images=image, text=text, **settings)[0]["generated_text"] for image, text in zip(pictures, texts, strict=True)]
        assert [answer["generated_text"] for answer in pipe(images=pictures, text=texts, **settings)] == one
        items = ({"images": image, "text": text} for image, text in zip(pictures, texts, strict=True))
        assert [answer[0]["generated_text"] for answer in pipe(items, batch_size=3, **settings)] == one

    def test_tokens_come_back_as_tensors(self, pipe: Any) -> None:
        answers = pipe(text=self.CHATS, max_new_tokens=3, return_tensors=True, batch_size=2)
        assert len(answers) == 5 and all(answer[0]["generated_token_ids"].ndim == 1 for answer in answers)

    def test_an_option_that_loses_the_images_is_refused(self, pipe: Any) -> None:
        with pytest.raises(ValueError, match="prompt_lookup_num_tokens=3 cannot be used with images"):
            self.texts(pipe, self.CHATS, batch_size=2, generate_kwargs={"prompt_lookup_num_tokens": 3})


class TestRounds:
    """Several rounds about one image, the image with the first question."""

    PAST = (("user", "<image>\nsegment the water"), ("assistant", "Here: [SEG]."))
    QUESTION = "And where is the forest?"

    def test_messages_through_the_processor_are_the_prompt_of_these_turns(self, folder: Path, shipped: Any) -> None:
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
        messages = [
            *chat("segment the water", picture(1)),
            {"role": "assistant", "content": [{"type": "text", "text": "Here: [SEG]."}]},
            *chat(self.QUESTION),
        ]
        prompt = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        inputs = processor(images=[picture(1)], text=prompt)
        turns = [*self.PAST, ("user", self.QUESTION)]
        assert inputs["input_ids"][0].tolist() == processor.encode({"rgb": picture(1)}, turns, for_generation=True).input_ids.tolist()
        written = shipped.generate(**inputs, max_new_tokens=4)[:, inputs["input_ids"].shape[1] :]
        asked = shipped.predict({"rgb": picture(1)}, self.QUESTION, past=self.PAST, max_new_tokens=4)
        assert processor.decode_answer(written[0]) == asked.text

    def test_masks_of_earlier_rounds_are_not_drawn_again(self, shipped: Any) -> None:
        several = [*self.PAST, ("user", "Once more."), ("assistant", "[SEG] [SEG]")]
        for past in (self.PAST, several):
            answer = shipped.predict({"rgb": picture(1)}, self.QUESTION, past=past, max_new_tokens=6)
            assert len(answer.masks) == answer.text.count("[SEG]") > 0

    def test_what_was_said_before_changes_the_answer(self, shipped: Any) -> None:
        found = {
            tuple(answer.mask_logits.flatten().tolist())
            for past in ((), self.PAST, [("user", "Is it day?"), ("assistant", "yes")])
            for answer in [shipped.predict({"rgb": picture(1)}, self.QUESTION, past=past, max_new_tokens=4)]
        }
        assert len(found) == 3
