from collections.abc import Callable

import pytest
import torch
from image_chat import NUM_EMBEDDINGS, Model, Options, Processor, make_model, make_tokenizer
from torch.nn import functional

from eocore.errors import ConfigError
from eocore.models.lora import add_lora, lora_names
from eocore.portable.messages import IMAGE_PLACEHOLDER
from eocore.portable.position_limit import SampleTooLongError
from eocore.portable.prompt_batching import EncodedPrompt, PromptBatch, collate_prompts, to_inputs
from eocore.portable.row_packing import IGNORE

QUESTIONS = ["What is it?", "How many buildings are there in the west?", "Is there water? Say yes or no, please.", "Where?"]


@pytest.fixture(scope="module")
def processor() -> Processor:
    return Processor(make_tokenizer())


@pytest.fixture(scope="module")
def model(processor: Processor) -> Model:
    return make_model(len(processor.tokenizer))


def asked(processor: Processor, question: str, *, has_image: bool = True) -> EncodedPrompt:
    text = f"{IMAGE_PLACEHOLDER}\n{question}" if has_image else question
    return processor.encode([("user", text)], has_image=has_image, for_generation=True)


def batch_of(processor: Processor, prompts: list[EncodedPrompt], *, left_pad: bool = False) -> PromptBatch:
    return collate_prompts(prompts, pad_token_id=processor.pad_token_id, left_pad=left_pad)


class TestGenerate:
    def test_a_batch_padded_in_front_answers_as_each_prompt_alone(self, processor: Processor, model: Model) -> None:
        images = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
        prompts = [asked(processor, question, has_image=number != 1) for number, question in enumerate(QUESTIONS)]
        shown = {0: images[:1], 2: images[1:2], 3: images[2:]}
        batch = batch_of(processor, prompts, left_pad=True)
        settings = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": processor.pad_token_id}
        together = model.generate(**to_inputs(batch), images=images, **settings)[:, batch.input_ids.shape[1] :]
        for number, prompt in enumerate(prompts):
            one = batch_of(processor, [prompt], left_pad=True)
            alone = model.generate(**to_inputs(one), images=shown.get(number), **settings)[0, one.input_ids.shape[1] :]
            assert torch.equal(alone, together[number])
        assert len({tuple(row) for row in together.tolist()}) == len(prompts)

    def test_another_image_gives_another_answer(self, processor: Processor, model: Model) -> None:
        inputs = to_inputs(batch_of(processor, [asked(processor, QUESTIONS[0])], left_pad=True))
        images = torch.tensor([[3.0, 0, 0, 0], [0, -3.0, 0, 0]])
        first, second = (model.generate(**inputs, images=image[None], max_new_tokens=8, do_sample=False) for image in images)
        assert not torch.equal(first, second)

    def test_the_id_at_placeholders_does_not_matter(self, processor: Processor, model: Model) -> None:
        inputs = to_inputs(batch_of(processor, [asked(processor, QUESTIONS[0])], left_pad=True))
        other = inputs["input_ids"].clone()
        other.view(-1)[inputs["placeholders"]] = 77
        image = torch.ones(1, 4)
        answers = [
            model.generate(**{**inputs, "input_ids": ids}, images=image, max_new_tokens=8, do_sample=False)
            for ids in (inputs["input_ids"], other)
        ]
        length = other.shape[1]
        assert torch.equal(answers[0][:, length:], answers[1][:, length:])

    def test_missing_images_are_an_error(self, processor: Processor, model: Model) -> None:
        inputs = to_inputs(batch_of(processor, [asked(processor, QUESTIONS[0])], left_pad=True))
        with pytest.raises(ValueError, match=f"{NUM_EMBEDDINGS} placeholders in the text, 0 vision tokens to fill them"):
            model.generate(**inputs, max_new_tokens=2)

    def test_a_prompt_beyond_the_positions_is_an_error(self, processor: Processor, model: Model) -> None:
        inputs = to_inputs(batch_of(processor, [asked(processor, "a" * 2100, has_image=False)], left_pad=True))
        with pytest.raises(SampleTooLongError, match="the model has positions for 2047 and an answer"):
            model.generate(**inputs, max_new_tokens=2)

    def test_an_answer_ends_at_the_last_position_and_says_so(self, processor: Processor, model: Model) -> None:
        inputs = to_inputs(batch_of(processor, [asked(processor, "a" * 2000, has_image=False)], left_pad=True))
        with pytest.warns(UserWarning, match="1 of 1 answers stopped unfinished at the model's last position"):
            made = model.generate(**inputs, max_new_tokens=100, do_sample=False, eos_token_id=-1)
        assert made.shape[1] == 2048


class TestRead:
    TURNS = (("user", f"{IMAGE_PLACEHOLDER}\nWhat?"), ("assistant", "water"), ("user", "And?"), ("assistant", "two lakes"))

    def test_logits_are_those_of_a_plain_forward(self, processor: Processor, model: Model) -> None:
        sample = processor.encode(list(self.TURNS), has_image=True)
        batch = batch_of(processor, [sample])
        tokens = model.encode_images(torch.ones(1, 4))
        embeddings = model.embed(batch.input_ids, batch.placeholders, tokens=tokens)
        logits = model.read(embeddings, batch)
        whole = model.language_model(inputs_embeds=embeddings).logits[0]
        torch.testing.assert_close(logits, whole[batch.supervised.positions])
        assert torch.equal(embeddings[0, sample.placeholders], tokens[0])

    def test_rows_that_hold_several_samples_read_as_rows_of_one(self, processor: Processor, model: Model) -> None:
        samples = [
            processor.encode(list(self.TURNS), has_image=True),
            processor.encode([("user", "Hi"), ("assistant", "no")], has_image=False),
        ]
        samples.append(processor.encode(list(self.TURNS), has_image=True, independent=True))
        tokens = model.encode_images(torch.tensor([[1.0, 0, 0, 0], [0, 2.0, 0, 0]]))
        losses = []
        for row_length in (None, 400):
            batch = collate_prompts(samples, pad_token_id=0, row_length=row_length)
            logits = model.read(model.embed(batch.input_ids, batch.placeholders, tokens=tokens), batch)
            losses.append((functional.cross_entropy(logits, batch.supervised.targets, reduction="none") * batch.supervised.weights).sum())
        torch.testing.assert_close(losses[0], losses[1])


class TestLabels:
    def test_only_answers_and_their_end_have_labels(self, processor: Processor) -> None:
        samples = [
            processor.encode(list(TestRead.TURNS), has_image=True),
            processor.encode([("user", "Hi"), ("assistant", "no")], has_image=False),
        ]
        batch = batch_of(processor, samples)
        for row, answers in zip(batch.labels, ("water<|im_end|>two lakes<|im_end|>", "no<|im_end|>"), strict=True):
            assert processor.tokenizer.decode(row[row != IGNORE]) == answers
        assert (batch.labels.flatten()[batch.placeholders] == IGNORE).all()
        assert (batch.labels[batch.attention_mask == 0] == IGNORE).all() and (batch.attention_mask == 0).any()
        assert len(batch.placeholders) == NUM_EMBEDDINGS

    @pytest.mark.parametrize(
        ("template", "supervised"),
        [("llama2_chat", "water </s>two lakes </s>"), ("plain", "water\ntwo lakes\n"), ("chatml", "water<|im_end|>two lakes<|im_end|>")],
    )
    def test_of_each_template(self, template: str, supervised: str) -> None:
        own = Processor(make_tokenizer(), Options(template=template))
        sample = own.encode(list(TestRead.TURNS), has_image=True)
        assert own.tokenizer.decode(sample.labels[sample.labels != IGNORE]) == supervised


class TestLora:
    def test_it_stands_beside_all_linear_layers_but_the_head(self, processor: Processor) -> None:
        model = make_model(len(processor.tokenizer))
        add_lora(model.language_model, rank=2, alpha=4)
        adapted = {name.split(".lora_")[0].rpartition(".")[2] for name in lora_names(model.language_model)}
        assert adapted == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}

    def test_a_target_that_matches_nothing_is_an_error(self, processor: Processor) -> None:
        model = make_model(len(processor.tokenizer))
        with pytest.raises(ConfigError, match="LoRA target 'Wqkv' matches no linear layer"):
            add_lora(model.language_model, rank=2, target_modules=["q_proj", "Wqkv"])


def test_stop_settings_need_no_search_where_the_end_mark_closes_with_the_end_token(make_options: Callable[[str], Processor]) -> None:
    assert "stop_strings" not in make_options("llama2_chat").stop_settings()
    assert make_options("plain").stop_settings()["eos_token_id"] == sorted(
        [make_tokenizer().eos_token_id, make_tokenizer()("\n").input_ids[0]]
    )


@pytest.fixture
def make_options() -> Callable[[str], Processor]:
    return lambda template: Processor(make_tokenizer(), Options(template=template))
