"""Fusion of the second upstream release ("hca"): at each location one tile's tokens, a mean of the sensors' tokens.

A sensor's weight has two parts. Quality: a token with few tokens alike in its own tile counts more. Relevance: so does a token that is like
a word of the text. Source: the code of the second upstream release, as released; its paper describes another first part. All of it is
computed in float32: in float16 the logarithm's epsilon is 0, and bfloat16 moves weights by up to 0.008. There are no parameters.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from eocore.portable.fusion_plan import FusionPlan

from .sensor_fusion import FusedTokens, counterparts

TEXT_SPANS = ("question", "upstream")
RANGES = ("sample", "tile")


@dataclass(frozen=True, kw_only=True)
class HcaSettings:
    """Choices and constants; the numbers are those of the release.

    Attributes:
        text_span: the words that tokens are compared with. "question": the words of the user's turns alone, the same in training and
            inference. "upstream": all tokens behind the images, as released: to the end of the prompt in inference, to the end of the
            sample in training, answers included.
        range_over: over which tokens of a sensor the smallest and largest entropy are taken: all its tiles in the "sample", as released, or
            each "tile".
        average_views: whether several views of one sensor (band renderings) are averaged location by location; else they are an error
            beside another sensor, and those of a sensor alone keep their own tokens, as released.
        self_temperature, text_temperature: of the similarity inside a tile, and to words.
        text_weight: fraction of the relevance; the rest is quality's.
        norm_epsilon, log_epsilon, range_epsilon: added to norms, to probabilities in the logarithm, and to the range of entropies.

    Raises:
        ValueError: a choice is unknown or a number is out of range.
    """

    text_span: str = "question"
    range_over: str = "sample"
    average_views: bool = True
    self_temperature: float = 0.1
    text_temperature: float = 0.2
    text_weight: float = 0.7
    norm_epsilon: float = 1e-6
    log_epsilon: float = 1e-10
    range_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        for name, choices in (("text_span", TEXT_SPANS), ("range_over", RANGES)):
            if getattr(self, name) not in choices:
                raise ValueError(f"hca.{name}='{getattr(self, name)}' is unknown; choices: {', '.join(choices)}.")
        for name in ("self_temperature", "text_temperature", "norm_epsilon", "log_epsilon", "range_epsilon"):
            if not getattr(self, name) > 0:
                raise ValueError(f"hca.{name}={getattr(self, name)}, expected a number above 0.")
        if not 0 <= self.text_weight <= 1:
            raise ValueError(f"hca.text_weight={self.text_weight}, expected a fraction from 0 to 1.")


UPSTREAM: dict[str, Any] = {"text_span": "upstream", "range_over": "sample", "average_views": False}
"""Choices of the release."""


class FusionWords(NamedTuple):
    """What `HcaFusion` reads beside the tokens; a tuple, because ZeRO-3 finds tensors in those.

    Attributes:
        embeddings: (P, D) rows of the token embedding of all words, question after question.
        plan: of the batch.
    """

    embeddings: Tensor
    plan: FusionPlan


def unit(vectors: Tensor, settings: HcaSettings) -> Tensor:
    """(..., D) vectors of length 1."""
    return vectors / (torch.linalg.vector_norm(vectors, dim=-1, keepdim=True) + settings.norm_epsilon)


def self_entropy(tokens: Tensor, settings: HcaSettings) -> Tensor:
    """(T, N) entropy [nat] of how alike each of tokens (T, N, D) is to the tokens of its tile, itself included."""
    directions = unit(tokens, settings)
    alike = torch.softmax(directions @ directions.transpose(1, 2) / settings.self_temperature, dim=-1)
    return -(alike * torch.log(alike + settings.log_epsilon)).sum(-1)


def token_quality(entropy: Tensor, range_group: Tensor, *, settings: HcaSettings) -> Tensor:
    """(T, N) quality: 1 at the smallest entropy, near 0 at the largest.

    Args:
        entropy: (T, N).
        range_group: (T,) tiles of one sensor of one sample share a number below T.
        settings: with `range_over="tile"` each tile has a range of its own.
    """
    low, high = entropy.amin(1), entropy.amax(1)
    if settings.range_over == "sample":
        low = torch.zeros_like(low).scatter_reduce(0, range_group, low, "amin", include_self=False)[range_group]
        high = torch.zeros_like(high).scatter_reduce(0, range_group, high, "amax", include_self=False)[range_group]
    return 1 - (entropy - low[:, None]) / ((high - low)[:, None] + settings.range_epsilon)


def text_relevance(tokens: Tensor, words: Tensor, *, settings: HcaSettings) -> Tensor:
    """(T, N, L) cosine of tokens (T, N, D) and words (L, D) over the temperature."""
    return unit(tokens, settings) @ unit(words, settings).T / settings.text_temperature


def best_relevance(tokens: Tensor, words: Tensor, *, settings: HcaSettings) -> Tensor:
    """(T, N) relevance to the word that each token is most alike; 0 without words."""
    return text_relevance(tokens, words, settings=settings).amax(-1) if len(words) else torch.zeros_like(tokens[..., 0])


def among_sensors(scores: Tensor, location: Tensor, *, num_locations: int) -> Tensor:
    """(M, N) softmax of scores (M, N) over the sensors that show the same location (M,)."""
    index = location[:, None].expand_as(scores)
    empty = scores.new_zeros(num_locations, scores.shape[1])
    highest = empty.scatter_reduce(0, index, scores.detach(), "amax", include_self=False)
    raised = torch.exp(scores - highest[location])
    return raised / empty.index_add(0, location, raised)[location]


def sensor_weights(quality: Tensor, relevance: Tensor, *, location: Tensor, num_locations: int, settings: HcaSettings) -> Tensor:
    """(M, N) weight of each sensor's tokens at a location; they sum to 1, and a sensor alone has exactly 1.

    Args:
        quality, relevance: (M, N).
        location: (M,) number of the location.
        num_locations: of all.
        settings: with the fraction of each.
    """
    by_text = among_sensors(relevance, location, num_locations=num_locations)
    by_quality = among_sensors(quality, location, num_locations=num_locations)
    mixed = settings.text_weight * by_text + (1 - settings.text_weight) * by_quality
    ones = torch.ones_like(mixed[:, 0])
    alone = ones.new_zeros(num_locations).index_add(0, location, ones)[location] == 1
    return torch.where(alone[:, None], 1.0, mixed)


class HcaFusion(nn.Module):
    """The fusion as a part of the model.

    Args:
        settings: choices and constants.
    """

    def __init__(self, settings: HcaSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, tokens: Tensor, tile_group: Tensor, *, words: FusionWords) -> FusedTokens:
        """Fuse.

        Args:
            tokens: (T, N, D) of any precision.
            tile_group: (2, T), see `VisionInputs`.
            words: of the questions, and what belongs together.

        Returns:
            Tokens (F, N, D), question after question; all else of the T tiles.
        """
        plan, settings = words.plan, self.settings
        with torch.autocast(tokens.device.type, enabled=False):
            exact = tokens.float()
            sensors, views = _average_views(exact, plan)
            quality = token_quality(self_entropy(sensors, settings), plan.range_group, settings=settings)
            relevance = self._relevance(sensors, words.embeddings.float(), plan=plan)
            weights = sensor_weights(
                quality[plan.member], relevance, location=plan.location, num_locations=plan.num_locations, settings=settings
            )
            fused = sensors.new_zeros(plan.num_locations, *sensors.shape[1:])
            fused = fused.index_add(0, plan.location, weights[..., None] * sensors[plan.member])
            others, paired = counterparts(exact, tile_group)
            importance = _per_tile(weights, plan) / views[plan.stream][:, None]
        return FusedTokens(fused.to(tokens.dtype), tokens, others, paired, importance)

    def _relevance(self, sensors: Tensor, embeddings: Tensor, *, plan: FusionPlan) -> Tensor:
        """(M, N) of each stream to the words of each question that sees it."""
        parts = embeddings.split(plan.num_words)
        found = []
        for (first, last), own in zip(plan.streams, parts, strict=True):
            found.append(best_relevance(sensors[first:last], own, settings=self.settings))
        return torch.cat(found)


def _average_views(tokens: Tensor, plan: FusionPlan) -> tuple[Tensor, Tensor]:
    """(U, N, D) mean tokens of the views of each stream, and (U,) how many there are."""
    ones = torch.ones_like(tokens[:, 0, 0])
    views = ones.new_zeros(plan.num_streams).index_add(0, plan.stream, ones)
    if plan.num_streams == len(tokens):
        total = tokens.new_zeros(tokens.shape).index_copy(0, plan.stream, tokens)
    else:
        total = tokens.new_zeros(plan.num_streams, *tokens.shape[1:]).index_add(0, plan.stream, tokens)
    return total / views[:, None, None], views


def _per_tile(weights: Tensor, plan: FusionPlan) -> Tensor:
    """(T, N) mean over the questions of the weights (M, N) of each tile's sensor."""
    ones = torch.ones_like(weights[:, 0])
    total = weights.new_zeros(plan.num_streams, weights.shape[1]).index_add(0, plan.member, weights)
    return (total / ones.new_zeros(plan.num_streams).index_add(0, plan.member, ones)[:, None])[plan.stream]
