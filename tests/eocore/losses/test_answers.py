import math

import pytest
import torch

from eocore.errors import ConfigError
from eocore.losses.answers import SAMPLES, SUPERVISED, AnswerLossSettings, answer_loss, token_accuracy

# three tokens of two samples: the first sample has one, the second two; token k is right with probability PROBABILITIES[k]
PROBABILITIES = (0.5, 0.25, 0.125)
LOGITS = torch.tensor([[math.log(p), math.log(1 - p)] for p in PROBABILITIES])
TARGETS = torch.zeros(3, dtype=torch.long)
WEIGHTS = torch.tensor([1 / 2, 1 / 4, 1 / 4])
NATS = torch.tensor(PROBABILITIES).log().neg()


def loss(mean: str, **num_items: float) -> float:
    settings = AnswerLossSettings(text_mean=mean)
    return answer_loss(LOGITS, TARGETS, weights=WEIGHTS, num_samples=2, settings=settings, num_items_in_batch=num_items or None).item()


def test_means_over_tokens_and_over_samples() -> None:
    assert loss("tokens") == pytest.approx(NATS.mean().item())
    assert loss("samples") == pytest.approx(((NATS[0] + NATS[1:].mean()) / 2).item())


def test_batches_of_an_update_share_their_means() -> None:
    assert loss("tokens", samples=4.0, supervised_tokens=6.0) == pytest.approx(NATS.sum().item() / 6)
    assert loss("samples", samples=4.0, supervised_tokens=6.0) == pytest.approx((NATS[0] + NATS[1:].mean()).item() / 4)


def test_no_token_is_no_loss_and_keeps_its_graph() -> None:
    logits = torch.zeros(0, 5, requires_grad=True)
    none = torch.zeros(0)
    found = answer_loss(logits, none.long(), weights=none, num_samples=1, settings=AnswerLossSettings())
    found.backward()
    assert found.item() == 0 and token_accuracy(logits, none.long()).item() == 0


def test_accuracy_is_the_fraction_of_right_tokens() -> None:
    assert token_accuracy(LOGITS - torch.tensor([0.0, 0.1]), TARGETS).item() == pytest.approx(1 / 3)  # only the first is likelier right


def test_the_item_of_the_mean_is_known_and_another_is_refused() -> None:
    assert AnswerLossSettings().item == SUPERVISED and AnswerLossSettings(text_mean="samples").item == SAMPLES
    with pytest.raises(ConfigError, match=r"losses\.text_mean='words' is unknown; choices: samples, tokens"):
        AnswerLossSettings(text_mean="words")
