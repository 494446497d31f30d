"""The plain stack beside ours: the same losses and answers from the same weights, and rows that name their ratio."""

from typing import Any

import pytest
import torch

from eocore.errors import ConfigError
from profiling.earthmind.inference import build_answers
from profiling.earthmind.plain_comparison import Effort, check_losses, compare_answers, compare_mix, compare_training
from profiling.earthmind.plain_stack import PlainAnswers, PlainStep, check_kinds, plain_inputs
from profiling.earthmind.samples import make_batch
from profiling.earthmind.setting import build_setting

ONCE = Effort(repeats=1)


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Without single trained rows of the token tables, which peft's side has no counterpart of."""
    return {name: value for name, value in settings.items() if name != "trainable_tokens"}


@pytest.fixture
def task(settings: dict[str, Any]) -> Any:
    return build_setting(settings, device=torch.device("cpu"), dtype=torch.float32)


def test_both_sides_have_the_same_loss_and_gradients_of_lora(task: Any) -> None:
    plain = PlainStep(task)
    check_losses(task, plain, name="vqa")
    task.eval()
    plain.model.eval()
    batch = make_batch(task, ["vqa5"])
    task.parse_losses(task(batch))[0].backward()
    plain.loss(batch).backward()
    theirs = {name: parameter.grad for name, parameter in plain.model.named_parameters() if ".lora_B." in name}
    ours = {name: parameter.grad for name, parameter in task.model.named_parameters() if ".lora_B." in name}
    assert len(ours) == len(theirs) > 0
    for mine, other in zip(ours.values(), theirs.values(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-6)


def test_a_stack_with_other_weights_is_noticed(task: Any) -> None:
    plain = PlainStep(task)
    with torch.no_grad():
        plain.model.get_output_embeddings().weight.normal_()
    with pytest.raises(ConfigError, match="they do not compute the same"):
        check_losses(task, plain, name="vqa")


def test_both_sides_say_the_same_of_an_image(settings: dict[str, Any]) -> None:
    answers = build_answers(settings, None, device=torch.device("cpu"), dtype=torch.float32, generation={})
    plain, (questions,) = PlainAnswers(answers.model), answers.questions("vqa", together=2, new_tokens=3)
    batch = answers.processor.collate(questions.samples, left_pad=True)
    said = plain.ask(batch, questions.answers)
    assert torch.equal(said, questions.answers)
    with torch.no_grad():
        theirs = plain.model(**plain_inputs(batch, answers.model.config)).logits[:, -1]
        ours = answers.model(batch.input_ids, batch.attention_mask, vision=batch.vision, logits_to_keep=1).logits[:, -1]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_questions_about_one_image_differ_in_a_word(settings: dict[str, Any]) -> None:
    answers = build_answers(settings, None, device=torch.device("cpu"), dtype=torch.float32, generation={})
    (questions,) = answers.questions("vqa", together=3, new_tokens=2)
    one = questions.about_one_image(answers.processor.tokenizer.convert_tokens_to_ids("a"))
    ids = torch.stack([sample.input_ids for sample in one.samples])
    assert (ids != ids[0]).sum(1).tolist() == [0, 1, 1] and len({sample.tiles.data_ptr() for sample in one.samples}) == 1


@pytest.mark.slow
def test_rows_of_all_parts(settings: dict[str, Any]) -> None:
    rows = compare_training(settings, ["vqa"], effort=ONCE)
    assert [row["what"] for row in rows] == [
        "train vqa, nothing recomputed",
        "train vqa, ours: none",
        "train vqa, plain: all layers",
    ]
    rows += compare_answers(settings, ["vqa"], batches=[1, 2], same_image=2, effort=ONCE)
    assert rows[-1]["what"] == "answers vqa, 6 of 4 to 64 words, 2 at once"
    rows.append(compare_mix(settings, row_length=512, effort=ONCE))
    for row in rows:
        assert row["faster x"] == pytest.approx(float(row["plain s"]) / float(row["ours s"]))


@pytest.mark.parametrize("kind", ["seg", "pair", "region", "mix"])
def test_what_the_plain_stack_cannot_run(kind: str) -> None:
    with pytest.raises(ConfigError, match="transformers' InternVL knows nothing of"):
        check_kinds(kind)
