"""Options of generation: those allowed keep text and masks together, the others are refused wherever they stand."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from earthmind_models import Dictation
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria, TextIteratorStreamer

from earthmind.model.batching import Batch
from earthmind.predictor import RecordAnswerer, predict
from eocore.errors import ConfigError
from eocore.portable.duplicates import find_duplicates
from eocore.portable.generation_options import OPTIONS, REASONS, GenerationOptionError, check_option, require_options
from eocore.portable.shared_prefix import plan_prefixes

NEW_TOKENS = 8
CLOSE = {"atol": 1e-3, "rtol": 1e-3}
"""Of mask logits: a batch, a cache of fixed size and a single step at the end each sum in another order."""


class Recorder(LogitsProcessor):
    """Notes what has been written so far, before each step."""

    def __init__(self) -> None:
        self.seen: Tensor | None = None
        self.start = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.start = self.start or input_ids.shape[1]
        self.seen = input_ids[:, self.start :]
        return scores


class StopAfter(StoppingCriteria):
    """Ends all rows once they hold this many tokens of an answer."""

    def __init__(self, prompt: int, tokens: int) -> None:
        self.length = prompt + tokens

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        return torch.full((len(input_ids),), input_ids.shape[1] >= self.length, device=input_ids.device)


@pytest.fixture(scope="module")
def keen(make_tiny: Callable[..., Any]) -> Any:
    """A tiny model that likes to write [SEG] among other tokens."""
    made = make_tiny()
    made.model.generation_config.sequence_bias = [[[made.processor.seg_token_id], 4.0]]
    return made


@pytest.fixture
def batch(keen: Any, make_scenes: Callable[..., Any]) -> Batch:
    """Three questions of unequal length, the second without an image."""
    asked = [
        (make_scenes("rgb", "sar"), "<image>\nsegment the water in this image."),
        ({}, "Hello"),
        (make_scenes("sar"), "<image>\nWhat?"),
    ]
    samples = [keen.processor.encode(scenes, [("user", text)], for_generation=True) for scenes, text in asked]
    batch: Batch = keen.processor.collate(samples, left_pad=True)
    return batch


def ask(made: Any, batch: Batch, **options: Any) -> list[Any]:
    sizes = [(48, 48)] * len(batch.input_ids)
    return list(made.model.answer(batch, made.processor, sizes=sizes, **{"max_new_tokens": NEW_TOKENS, **options}))


def ids_of(made: Any, text: str) -> list[int]:
    return list(made.tokenizer(text, add_special_tokens=False).input_ids)


SETTINGS: list[dict[str, Any]] = [
    {"do_sample": True, "temperature": 1.5},
    {"do_sample": True, "top_k": 5},
    {"do_sample": True, "top_p": 0.8},
    {"do_sample": True, "min_p": 0.05},
    {"do_sample": True, "typical_p": 0.9},
    {"do_sample": True, "epsilon_cutoff": 0.001},
    {"do_sample": True, "eta_cutoff": 0.001},
    {"repetition_penalty": 1.3},
    {"no_repeat_ngram_size": 2},
    {"bad_words_ids": [[40], [50, 51]]},
    {"suppress_tokens": [40, 41]},
    {"begin_suppress_tokens": [40]},
    {"sequence_bias": [[[40], 3.0]]},
    {"min_new_tokens": 6},
    {"stop_strings": "a"},
    {"stop_strings": ["[SEG]", "water"]},
    {"max_time": 60.0},
    {"renormalize_logits": True},
    {"remove_invalid_values": True},
    {"use_cache": True},
    {"cache_implementation": "dynamic"},
    {"cache_implementation": "static", "max_cache_len": 200},
    {"cache_implementation": "static", "disable_compile": True},
    {"generation_config": GenerationConfig(repetition_penalty=1.2)},
    {"prefix_allowed_tokens_fn": lambda row, ids: list(range(30, 300))},
]


def test_every_option_is_among_those_tried() -> None:
    assert {name for setting in SETTINGS for name in setting} >= set(OPTIONS) - {"compile_config"}  # in test_generation.py


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: "+".join(setting))
def test_an_allowed_option_leaves_one_mask_for_each_seg_and_the_right_one(keen: Any, batch: Batch, setting: dict[str, Any]) -> None:
    torch.manual_seed(3)
    recorder = Recorder()
    answers = ask(keen, batch, logits_processor=[recorder], **setting)
    for answer, has_image in zip(answers, (True, False, True), strict=True):
        assert len(answer.masks) == (answer.text.count("[SEG]") if has_image else 0)
    assert recorder.seen is not None
    # the step that is not recorded is the last; of an answer of full length it is one beyond it
    written = recorder.seen[:, :NEW_TOKENS].tolist()
    again = ask(keen, batch, logits_processor=[Dictation(written)], max_new_tokens=len(written[0])) if written[0] else []
    for ours, theirs in zip(answers, again, strict=False):
        count = min(len(ours.mask_logits), len(theirs.mask_logits))
        torch.testing.assert_close(ours.mask_logits[:count], theirs.mask_logits[:count], **CLOSE)


def test_the_bias_makes_masks_to_compare(keen: Any, batch: Batch) -> None:
    answers = ask(keen, batch)
    assert len(answers[0].masks) > 1 and len(answers[2].masks) > 1


class TestEarlyStops:
    """A [SEG] that is written last, and never read back by generation itself."""

    WORDS = ("ab[SEG]cd", "[SEG]water", "w[SEG][SEG]")

    def dictation(self, made: Any) -> Dictation:
        return Dictation([ids_of(made, text + made.processor.end_of_turn) for text in self.WORDS])

    @pytest.mark.parametrize("cache", ["dynamic", "static"])
    @pytest.mark.parametrize("tokens", [1, 2, 3, 4])
    def test_masks_are_those_of_the_whole_answer(self, keen: Any, batch: Batch, tokens: int, cache: str) -> None:
        whole = ask(keen, batch, logits_processor=[self.dictation(keen)])
        stop = StopAfter(batch.input_ids.shape[1], tokens)
        stopped = ask(
            keen, batch, logits_processor=[self.dictation(keen)], stopping_criteria=[stop], cache_implementation=cache, share_prefix=False
        )
        for row, (ours, theirs) in enumerate(zip(stopped, whole, strict=True)):
            words = keen.tokenizer.decode(ids_of(keen, self.WORDS[row])[:tokens])
            assert ours.text == words
            count = words.count("[SEG]") if row != 1 else 0
            assert len(ours.masks) == count
            if count:
                torch.testing.assert_close(ours.mask_logits, theirs.mask_logits[:count], **CLOSE)

    def test_time_that_is_up_leaves_the_mask_of_the_last_token(self, keen: Any, batch: Batch) -> None:
        seg = [[keen.processor.seg_token_id]] * 3
        whole = ask(keen, batch, logits_processor=[Dictation(seg)])
        stopped = ask(keen, batch, logits_processor=[Dictation(seg)], max_time=1e-9)
        assert [answer.text for answer in stopped] == ["[SEG]"] * 3
        assert [len(answer.masks) for answer in stopped] == [1, 0, 1]
        for row in (0, 2):
            torch.testing.assert_close(stopped[row].mask_logits, whole[row].mask_logits[:1], **CLOSE)

    def test_a_stop_text_adds_to_the_end_mark(self, keen: Any, batch: Batch) -> None:
        words = Dictation([ids_of(keen, text) for text in ("ab[SEG]cd", "x<|end|>y", "wat<|end|>[SEG]")])
        answers = ask(keen, batch, logits_processor=[words], stop_strings=["[SEG]"])
        assert [answer.text for answer in answers] == ["ab[SEG]", "x", "wat"]
        assert [len(answer.masks) for answer in answers] == [1, 0, 0]

    def test_a_stopped_batch_of_prompts_that_begin_alike(self, keen: Any, make_scenes: Callable[..., Any]) -> None:
        scenes = make_scenes("rgb", "sar")
        texts = [f"<image>\nsegment the water in this image{end}" for end in (".", "", "!", "?")]
        samples = [keen.processor.encode(scenes, [("user", text)], for_generation=True) for text in texts]
        together = keen.processor.collate(samples, left_pad=True)
        index = find_duplicates(together.vision.tiles)[1]
        shared = {"vision": together.vision, "content": index}
        assert plan_prefixes(together.input_ids, together.attention_mask, **shared) is not None, "else nothing is tried"
        words = ["a[SEG]", "[SEG][SEG]", "ab", "[SEG]a"]
        rows = [ids_of(keen, text) for text in words]
        seen: list[int] = []

        class StopAtTwo(StoppingCriteria):
            def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
                seen.append(input_ids.shape[1])
                return torch.full((len(input_ids),), len(seen) == 2)

        stopped = ask(keen, together, logits_processor=[Dictation(rows)], stopping_criteria=[StopAtTwo()])
        assert [answer.text for answer in stopped] == words
        whole = ask(keen, together, logits_processor=[Dictation(rows)], max_new_tokens=2, share_prefix=False)
        for ours, theirs in zip(stopped, whole, strict=True):
            torch.testing.assert_close(ours.mask_logits, theirs.mask_logits, **CLOSE)

    def test_what_follows_the_end_mark_is_no_answer(self, make_tiny: Callable[..., Any], make_scenes: Callable[..., Any]) -> None:
        """With no end token that stops generation, rows are written on until all have ended."""
        made = make_tiny()
        sample = made.processor.encode(make_scenes("rgb"), [("user", "<image>\nWhat?")], for_generation=True)
        one = made.processor.collate([sample], left_pad=True)
        words = made.processor.read_answer(torch.tensor(ids_of(made, "a[SEG]<|end|>[SEG]b")))
        assert words == ("a[SEG]", 1)
        assert made.processor.read_answer(torch.tensor(ids_of(made, "a[SEG]b"))) == ("a[SEG]b", 1)
        assert made.processor.read_answer(torch.tensor([made.tokenizer.pad_token_id] * 2)) == ("", 0)
        (answer,) = ask(made, one, logits_processor=[Dictation([ids_of(made, "[SEG]<|end|>[SEG]")])])
        assert answer.text == "[SEG]" and len(answer.masks) == 1


def test_a_mark_of_several_tokens_ends_text_and_masks(make_tokenizer: Callable[..., Any], make_tiny: Callable[..., Any]) -> None:
    from earthmind.model.processing_earthmind import EarthMindProcessor
    from earthmind.model.processor_options import ProcessorOptions

    made = make_tiny()
    tokenizer = make_tokenizer(whole_marks=False)
    options = ProcessorOptions(tile_size=32, tile_tokens=made.model.config.tile_grid, grounding_size=64, max_tiles=1)
    words = EarthMindProcessor(tokenizer, options)
    ids = tokenizer("a[SEG] and<|end|>[SEG][SEG]", add_special_tokens=False).input_ids
    assert words.read_answer(torch.tensor(ids)) == ("a[SEG] and", 1)


class TestStreams:
    def test_a_streamer_gets_the_answer_and_no_token_more(self, keen: Any, make_scenes: Callable[..., Any]) -> None:
        sample = keen.processor.encode(make_scenes("rgb"), [("user", "<image>\nWhat?")], for_generation=True)
        one = keen.processor.collate([sample], left_pad=True)
        streamer = TextIteratorStreamer(keen.tokenizer, skip_prompt=True, timeout=120)
        rows = [ids_of(keen, "it is [SEG] and water")]
        (answer,) = ask(keen, one, logits_processor=[Dictation(rows)], streamer=streamer, max_new_tokens=5)
        assert "".join(streamer) == keen.tokenizer.decode(rows[0][:5])
        (plain,) = ask(keen, one, logits_processor=[Dictation(rows)], max_new_tokens=5)
        assert answer.text == plain.text and torch.equal(answer.mask_logits, plain.mask_logits)

    def test_several_rows_are_too_many_for_a_text_streamer(self, keen: Any, batch: Batch) -> None:
        with pytest.raises(ValueError, match="only supports batch size 1"):
            ask(keen, batch, streamer=TextIteratorStreamer(keen.tokenizer))


REFUSED = {
    "num_beams": 2,
    "num_return_sequences": 2,
    "num_beam_groups": 2,
    "constraints": [object()],
    "force_words_ids": [[5]],
    "prompt_lookup_num_tokens": 3,
    "assistant_model": object(),
    "use_mtp": True,
    "penalty_alpha": 0.6,
    "dola_layers": "high",
    "guidance_scale": 1.5,
    "negative_prompt_ids": torch.ones(1, 2),
    "token_healing": True,
    "prefill_chunk_size": 4,
    "encoder_repetition_penalty": 1.5,
    "return_dict_in_generate": True,
    "output_scores": True,
    "output_hidden_states": True,
    "max_length": 10,
    "eos_token_id": 5,
    "pad_token_id": 5,
    "custom_generate": "someone/else",
}


OFF: list[dict[str, Any]] = [
    {"num_beams": 1},
    {"num_return_sequences": 1},
    {"guidance_scale": 1.0},
    {"return_dict_in_generate": False},
    {"num_beams": None},
]


class TestRefusals:
    @pytest.mark.parametrize(("name", "value"), REFUSED.items(), ids=list(REFUSED))
    def test_an_option_that_breaks_answers_is_refused_with_the_choices(self, keen: Any, batch: Batch, name: str, value: Any) -> None:
        with pytest.raises(
            GenerationOptionError, match=rf"generation option {name}=.*: {re.escape(REASONS[name])}.* Options: do_sample, temperature"
        ):
            ask(keen, batch, **{name: value})

    @pytest.mark.parametrize("name", ["watermarking_config", "forced_eos_token_id", "exponential_decay_length_penalty"])
    def test_an_option_nobody_tried_is_refused(self, keen: Any, batch: Batch, name: str) -> None:
        with pytest.raises(GenerationOptionError, match=f"{name}=7: it is not known to keep answers and masks together"):
            ask(keen, batch, **{name: 7})

    def test_a_misspelt_option_is_refused(self, keen: Any, batch: Batch) -> None:
        with pytest.raises(GenerationOptionError, match=r"temprature=0\.5: there is no such option\. Options: do_sample, temperature"):
            ask(keen, batch, temprature=0.5)

    def test_an_option_that_is_off_is_no_matter(self, keen: Any, batch: Batch) -> None:
        usual = [answer.text for answer in ask(keen, batch)]
        for option in OFF:
            assert [answer.text for answer in ask(keen, batch, **option)] == usual, option

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("temperature", "hot", "a number above 0"),
            ("temperature", -1, "a number above 0"),
            ("temperature", 0, "a number above 0"),
            ("temperature", float("nan"), "a number above 0"),
            ("temperature", True, "a number above 0"),
            ("top_p", 1.5, "a number above 0, at most 1"),
            ("min_p", -0.1, "a number from 0 to 1"),
            ("top_k", -1, "a whole number, at least 0"),
            ("top_k", 2.5, "a whole number, at least 0"),
            ("max_time", -3, "a number above 0"),
            ("max_time", "1h", "a number above 0"),
            ("stop_strings", "", "a text, or a list of texts"),
            ("stop_strings", [5], "a text, or a list of texts"),
            ("bad_words_ids", [5], "a list of lists of token ids"),
            ("suppress_tokens", "a", "a list of token ids"),
            ("sequence_bias", [5], "a list of token ids and biases"),
            ("do_sample", "maybe", "true or false"),
            ("repetition_penalty", 0, "a number above 0"),
            ("no_repeat_ngram_size", -2, "a whole number, at least 0"),
            ("cache_implementation", "quantized", "'dynamic' or 'static'"),
            ("use_cache", False, "true: without a cache the images would be forgotten"),
            ("min_new_tokens", -1, "a whole number, at least 0"),
            ("compile_config", {"mode": "x"}, "a CompileConfig of transformers"),
        ],
    )
    def test_a_wrong_value_is_said(self, name: str, value: Any, expected: str) -> None:
        with pytest.raises(GenerationOptionError, match=f"generation option {name}=.*: expected {expected}"):
            check_option(name, value)

    @pytest.mark.parametrize("length", [0, -4, "many", 2.5])
    def test_a_wrong_length_is_said(self, keen: Any, batch: Batch, length: Any) -> None:
        with pytest.raises(GenerationOptionError, match=r"max_new_tokens=.*: expected a whole number, at least 1"):
            ask(keen, batch, max_new_tokens=length)

    def test_a_shortest_length_above_the_longest_is_said(self, keen: Any, batch: Batch) -> None:
        with pytest.raises(GenerationOptionError, match="min_new_tokens=9 is more than max_new_tokens=8"):
            ask(keen, batch, min_new_tokens=9)

    @pytest.mark.parametrize(
        ("name", "value"), [("num_beams", 4), ("prompt_lookup_num_tokens", 3), ("use_cache", False), ("temperature", -1.0)]
    )
    def test_the_models_own_generation_config_counts_too(
        self, keen: Any, batch: Batch, monkeypatch: pytest.MonkeyPatch, make_scenes: Callable[..., Any], name: str, value: Any
    ) -> None:
        monkeypatch.setattr(keen.model.generation_config, name, value)
        message = f"generation option {name}={value} in the generation config: "
        with pytest.raises(GenerationOptionError, match=message):
            ask(keen, batch)
        with pytest.raises(ConfigError, match=message):
            RecordAnswerer(keen.model, keen.processor)
        with pytest.raises(ConfigError, match=message):
            predict(keen.model, make_scenes("rgb"), text="What?")

    def test_a_given_generation_config_counts_too(self, keen: Any, batch: Batch) -> None:
        with pytest.raises(GenerationOptionError, match="num_beams=2: masks belong to one answer"):
            ask(keen, batch, generation_config=GenerationConfig(num_beams=2))

    def test_a_generation_config_that_is_none_is_said(self, keen: Any, batch: Batch) -> None:
        with pytest.raises(GenerationOptionError, match=r"generation_config=\{'num_beams': 2\}: expected a GenerationConfig"):
            ask(keen, batch, generation_config={"num_beams": 2})

    def test_lengths_of_the_models_own_config_do_not_lengthen_answers(
        self, keen: Any, batch: Batch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ends = [[[number], 1000.0] for number in keen.processor.stop_settings()["eos_token_id"]]
        monkeypatch.setattr(keen.model.generation_config, "min_length", 1000)
        assert [answer.text for answer in ask(keen, batch, sequence_bias=ends)] == ["", "", ""]

    def test_a_shortest_length_of_the_models_own_config_above_the_longest_is_said(
        self, keen: Any, batch: Batch, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keen.model.generation_config, "min_new_tokens", 9)
        with pytest.raises(GenerationOptionError, match="min_new_tokens=9 in the generation config is more than max_new_tokens=8"):
            ask(keen, batch)

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ("greedy", "generation='greedy': expected a mapping of options"),
            ([("top_k", 3)], "generation=.*: expected a mapping of options"),
            ({"max_new_tokens": 3}, "generation holds max_new_tokens, which the call gives itself"),
            ({"sizes": [(1, 1)]}, "generation holds sizes"),
        ],
    )
    def test_what_is_no_mapping_of_options_is_said(self, given: Any, told: str) -> None:
        with pytest.raises(GenerationOptionError, match=told):
            require_options(given)

    def test_fields_that_transformers_does_not_read_are_no_matter(self, keen: Any, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keen.model.generation_config, "chat_format", "chatml", raising=False)
        assert len(ask(keen, batch)) == 3


class TestGenerate:
    """`generate` itself: free about text alone, and refusing where images would be lost."""

    def inputs(self, made: Any, make_scenes: Callable[..., Any], **images: Any) -> dict[str, Any]:
        return dict(made.processor(images=images or None, text="<image>\nWhat?" if images else "What is it?"))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("prompt_lookup_num_tokens", 3),
            ("guidance_scale", 1.5),
            ("penalty_alpha", 0.6),
            ("dola_layers", "high"),
            ("token_healing", True),
            ("prefill_chunk_size", 4),
            ("encoder_repetition_penalty", 1.5),
        ],
    )
    @pytest.mark.parametrize("index", ["arguments", "config", "own config"])
    def test_what_loses_the_images_is_refused(
        self, tiny: Any, make_scenes: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str, value: Any, index: str
    ) -> None:
        options = {"arguments": {name: value}, "config": {"generation_config": GenerationConfig(**{name: value})}}.get(index, {})
        if index == "own config":
            monkeypatch.setattr(tiny.model.generation_config, name, value)
        with pytest.raises(GenerationOptionError, match=f"option {name}={value!r} cannot be used with images"):
            tiny.model.generate(**self.inputs(tiny, make_scenes, **make_scenes("rgb")), max_new_tokens=2, **options)

    def test_a_paged_cache_would_lose_them(self, tiny: Any, make_scenes: Callable[..., Any]) -> None:
        with pytest.raises(GenerationOptionError, match="cache_implementation='paged' reads token ids alone"):
            tiny.model.generate(**self.inputs(tiny, make_scenes, **make_scenes("rgb")), max_new_tokens=2, cache_implementation="paged")

    def test_text_alone_keeps_all_options(self, tiny: Any, make_scenes: Callable[..., Any]) -> None:
        inputs, options = self.inputs(tiny, make_scenes), {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
        plain = tiny.model.generate(**inputs, **options)
        for more in ({"prompt_lookup_num_tokens": 3}, {"use_cache": False}):
            assert tiny.model.generate(**inputs, **options, **more).tolist() == plain.tolist()
        assert tiny.model.generate(**inputs, **options, num_beams=2, num_return_sequences=2).shape[0] == 2

    def test_beams_see_the_images(self, tiny: Any, make_scenes: Callable[..., Any]) -> None:
        inputs = self.inputs(tiny, make_scenes, **make_scenes("rgb", "sar"))
        found = tiny.model.generate(
            **inputs, max_new_tokens=4, num_beams=3, do_sample=False, eos_token_id=None, return_dict_in_generate=True, output_scores=True
        )
        length = inputs["input_ids"].shape[1]
        read = {**inputs, "input_ids": found.sequences, "attention_mask": torch.ones_like(found.sequences)}
        with torch.no_grad():
            chances = tiny.model(**read).logits.log_softmax(-1)[0, length - 1 : -1]
        expected = chances.gather(-1, found.sequences[0, length:, None]).sum() / 4
        torch.testing.assert_close(found.sequences_scores[0], expected, **CLOSE)
