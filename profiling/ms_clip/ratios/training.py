"""A training step's forward and backward, against plain OpenCLIP at equal sizes and weights, and with and without gradient caching."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from eocore.checkpoints.key_map import KeyMap
from eocore.checkpoints.key_maps.clip import open_clip_rules, open_clip_sizes
from eocore.checkpoints.weight_files import Header, LazyTensor
from eocore.registry import RATIOS
from ms_clip.losses import LossSettings, compute_losses
from ms_clip.model.configuration_ms_clip import MsClipConfig
from ms_clip.model.modeling_ms_clip import MsClipModel
from profiling.ms_clip.open_clip_import import import_open_clip
from profiling.ratios.ratio import Goal, Pair, Side

BASE_16: dict[str, Any] = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49_408, "width": 512, "heads": 8, "layers": 12},
}
"""OpenCLIP's ViT-B-16. Source: Radford et al. 2021 (arXiv 2103.00020), tables 19 and 20."""
START, END = 49_406, 49_407
"""Tokens around a text. Source: openai/CLIP, simple_tokenizer.py."""
ALLOWED = 1 / 1.1
"""A step may take 1.1 times what it is compared with."""


class PairStep(Pair):
    """Loss and gradients of a batch of pictures and texts.

    Args:
        sizes: `model_cfg` of OpenCLIP.
        pairs: in the batch.
        tokens: of each text, with start and end; OpenCLIP fills them up to its context.
    """

    goals: ClassVar[tuple[Goal, ...]] = (Goal(quantity="time", goal=None),)
    tolerance = 1e-4  # float32, summed in another order

    def __init__(self, *, sizes: Mapping[str, Any] = BASE_16, pairs: int = 4, tokens: int = 77) -> None:
        self.sizes, self.pairs, self.tokens = sizes, pairs, tokens

    def prepare(self, side: Side) -> Callable[[], list[Tensor]]:
        """Of a side; see `Pair`."""
        generator = torch.Generator().manual_seed(0)
        size, vocabulary = self.sizes["vision_cfg"]["image_size"], self.sizes["text_cfg"]["vocab_size"]
        pixels = torch.randn(self.pairs, 3, size, size, generator=generator)
        ids = torch.randint(1, min(vocabulary, START), (self.pairs, self.tokens), generator=generator)
        ids[:, 0], ids[:, -1] = START, END
        return self.step(side, pixels=pixels, ids=ids)

    @abstractmethod
    def step(self, side: Side, *, pixels: Tensor, ids: Tensor) -> Callable[[], list[Tensor]]:
        """Loss, and gradients of the patch embedding, the words and the scale, of (N, 3, S, S) pixels and (N, T) tokens."""


@RATIOS.register_module(name="C1")
class OpenClipStep(PairStep):
    """Texts that fill the context, so that both sides compute the same numbers of everything."""

    what = "forward and backward of pairs, texts of the whole context: plain OpenCLIP | ours"
    goals = (Goal(quantity="time", goal=ALLOWED, limit="1: both do the same"), Goal(quantity="memory", goal=None))

    def step(self, side: Side, *, pixels: Tensor, ids: Tensor) -> Callable[[], list[Tensor]]:
        """See `PairStep`."""
        theirs = open_clip_model(self.sizes)
        if side == "ours":
            return our_step(our_model(theirs, self.sizes), pixels, ids=ids)
        padded = functional.pad(ids, (0, self.sizes["text_cfg"]["context_length"] - ids.shape[1]))
        return open_clip_step(theirs, pixels, ids=padded)


@RATIOS.register_module(name="C2")
class OpenClipStepOfCaptions(OpenClipStep):
    """Texts as long as captions are: OpenCLIP computes with zeros up to the end of its context, ours ends with the longest text."""

    what = "the same, texts of 32 tokens: plain OpenCLIP, padded to its context | ours, padded to the longest"
    goals = (Goal(quantity="time", goal=1.0, limit="the text tower's part"), Goal(quantity="memory", goal=None))

    def __init__(self, *, sizes: Mapping[str, Any] = BASE_16, pairs: int = 4, tokens: int = 32) -> None:
        super().__init__(sizes=sizes, pairs=pairs, tokens=tokens)


@RATIOS.register_module(name="C3")
class GradientCaching(PairStep):
    """What the memory of a large batch costs in time: each part of it goes forward once more.

    Args:
        sizes, pairs, tokens: see `PairStep`.
        chunk: pairs that go through the model at a time.
    """

    what = "forward and backward of pairs: the whole batch at once | in parts, by gradient caching"
    goals = (
        Goal(quantity="time", goal=None, limit="3 / 4: a second forward"),
        Goal(quantity="memory", goal=None, limit="pairs / chunk, were it not for the weights' gradients"),
    )

    def __init__(self, *, sizes: Mapping[str, Any] = BASE_16, pairs: int = 8, tokens: int = 32, chunk: int = 2) -> None:
        super().__init__(sizes=sizes, pairs=pairs, tokens=tokens)
        self.chunk = chunk

    def step(self, side: Side, *, pixels: Tensor, ids: Tensor) -> Callable[[], list[Tensor]]:
        """See `PairStep`."""
        model = our_model(open_clip_model(self.sizes), self.sizes)
        return our_step(model, pixels, ids=ids, chunk_size=self.chunk if side == "ours" else None)


def open_clip_model(sizes: Mapping[str, Any]) -> nn.Module:
    """OpenCLIP's model with random weights, the same each time."""
    torch.manual_seed(0)
    model: nn.Module = import_open_clip().model.CLIP(**sizes)
    return model.train()


def our_model(theirs: nn.Module, sizes: Mapping[str, Any]) -> MsClipModel:
    """Ours with the weights of an OpenCLIP model, by the rules that its checkpoints are imported by."""
    state = theirs.state_dict()
    tensors = {name: LazyTensor(Header(tuple(value.shape), value.dtype), partial(torch.clone, value)) for name, value in state.items()}
    headers = {name: tensor.header for name, tensor in tensors.items()}
    fields = open_clip_sizes(headers, sizes)
    ids = {"bos_token_id": START, "eos_token_id": END, "pad_token_id": END}
    model = MsClipModel(MsClipConfig(**{**fields, "text_config": {**fields["text_config"], **ids}}))
    mapped = KeyMap("open_clip", open_clip_rules(headers)).apply_tensors(tensors, origin="random weights").tensors
    model.load_state_dict({name: tensor.read() for name, tensor in mapped.items()})
    return model.train()


def open_clip_step(model: Any, pixels: Tensor, *, ids: Tensor) -> Callable[[], list[Tensor]]:
    """Forward of both towers, symmetric cross-entropy of the scaled cosines, backward."""
    targets = torch.arange(len(ids))

    def work() -> list[Tensor]:
        model.zero_grad(set_to_none=True)
        images, texts = model.encode_image(pixels, normalize=True), model.encode_text(ids, normalize=True)
        logits = model.logit_scale.exp() * images @ texts.T
        loss = (functional.cross_entropy(logits, targets) + functional.cross_entropy(logits.T, targets)) / 2
        loss.backward()
        return [loss.detach(), model.visual.conv1.weight.grad, model.token_embedding.weight.grad, model.logit_scale.grad]

    return work


def our_step(model: Any, pixels: Tensor, *, ids: Tensor, chunk_size: int | None = None) -> Callable[[], list[Tensor]]:
    """What `MsClipTask` does with a batch, and backward."""
    mask, keys, settings = torch.ones_like(ids), torch.arange(len(ids)), LossSettings()

    def work() -> list[Tensor]:
        model.zero_grad(set_to_none=True)
        output = model(ids, pixels, attention_mask=mask, chunk_size=chunk_size)
        loss = compute_losses(output, keys, settings=settings)["loss_pairs"]
        loss.backward()
        vision, words = model.vision_model.embeddings.patch_embedding, model.text_model.embeddings.token_embedding
        return [loss.detach(), *(parameter.grad for parameter in (vision.weight, words.weight, model.logit_scale))]

    return work
