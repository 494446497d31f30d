"""Images and text -> model inputs; the same object serves training, prediction and the Hugging Face pipelines."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import BatchFeature, ProcessorMixin

from .batching import IGNORE, collate
from .image_tiling import cut_tiles, resize, tile_grid
from .presentation import SceneLike, as_scene, grounding_image, present
from .prompting import (
    IMAGE_END,
    IMAGE_PLACEHOLDER,
    IMAGE_START,
    IMAGE_TOKEN,
    REGION_END,
    REGION_PLACEHOLDER,
    REGION_START,
    SEG_TOKEN,
    Piece,
    get_template,
    jinja_template,
    render,
)

MODALITIES = ("rgb", "multispectral", "sar")
PUBLISHED_ORDER = ("sar", "rgb")
"""Order of two images given without names: the published multi-image call takes SAR first."""
MODALITY_ORDER = ("sar", "rgb", "multispectral")
"""Order of the sensors' tokens at one place; the published code puts a place's SAR tokens before its RGB tokens."""
DEFAULT_PRESENTATION = {
    "rgb": {"views": [["red", "green", "blue"]], "stretch": {"method": "range", "low": 0, "high": 255}},
    "multispectral": {"views": [["B04", "B03", "B02"]], "stretch": {"method": "percentile", "low": 2, "high": 98}},
    "sar": {"views": [["VV", "VH", "zero"]], "stretch": {"method": "percentile", "low": 2, "high": 98}},
}
KNOWN_TEXTS = 4096
"""Most pieces of text whose ids are remembered: template parts and questions come back all the time."""
_SLOTS = re.compile(f"({re.escape(IMAGE_PLACEHOLDER)}|{re.escape(REGION_PLACEHOLDER)})")


class SampleError(ValueError):
    """Text, images, regions and masks of one sample do not fit together."""


class SampleTooLongError(SampleError):
    """A sample has more tokens than allowed; nothing was cut."""


class EarthMindProcessor(ProcessorMixin):
    """Prepares samples of any subset of sensors.

    Args:
        tokenizer: a tokenizer that holds the special tokens (see `prompting.SPECIAL_TOKENS`).
        tile_size: side of a tile [px].
        min_tiles, max_tiles, use_thumbnail: dynamic tiling (see `image_tiling`).
        tile_tokens: (rows, columns) of vision tokens of one tile.
        num_channels: channels of the vision tower's patch embedding.
        presentation: modality -> rule (see `presentation`).
        token_order: "place" (published: all sensors of a place, then the next place, in one block) or "modality" (a named block a sensor).
        modality_order: order of the sensors within a place or of their blocks; names every modality.
        grounding_size: side of the SAM 2 image [px].
        grounding: "first" (one image a sample) or "all" (one a modality).
        grounding_order: which modality is drawn on first.
        template: name of the chat template.
    """

    def __init__(
        self,
        tokenizer: Any = None,
        chat_template: str | None = None,
        tile_size: int = 448,
        min_tiles: int = 1,
        max_tiles: int = 12,
        use_thumbnail: bool = True,
        tile_tokens: Sequence[int] = (16, 16),
        num_channels: int = 3,
        presentation: Mapping[str, Any] | None = None,
        token_order: str = "place",
        modality_order: Sequence[str] = MODALITY_ORDER,
        grounding_size: int = 1024,
        grounding: str = "first",
        grounding_order: Sequence[str] = ("sar", "rgb", "multispectral"),
        template: str = "phi3_chat",
    ) -> None:
        self.tile_size, self.min_tiles, self.max_tiles, self.use_thumbnail = tile_size, min_tiles, max_tiles, use_thumbnail
        self.tile_tokens, self.num_channels = tuple(tile_tokens), num_channels
        self.presentation = {**DEFAULT_PRESENTATION, **{name: dict(rule) for name, rule in (presentation or {}).items()}}
        self.token_order, self.modality_order, self.template = token_order, tuple(modality_order), template
        self.grounding_size, self.grounding, self.grounding_order = grounding_size, grounding, tuple(grounding_order)
        self._check_choices()
        super().__init__(tokenizer, chat_template=chat_template or jinja_template(get_template(template)))
        self._known_texts: dict[tuple[str, bool], list[int]] = {}
        self._ids = {token: self._token_id(token) for token in (IMAGE_TOKEN, SEG_TOKEN)}

    def _check_choices(self) -> None:
        for name, value, choices in (("token_order", self.token_order, ("place", "modality")), ("grounding", self.grounding, ("first", "all"))):
            if value not in choices:
                raise ValueError(f"{name}='{value}' is unknown; choices: {', '.join(choices)}.")
        unknown = sorted({*self.presentation, *self.grounding_order} - set(MODALITIES))
        if unknown:
            raise ValueError(f"modalities {unknown} are unknown; choices: {', '.join(MODALITIES)}.")
        if sorted(self.modality_order) != sorted(MODALITIES):
            raise ValueError(f"modality_order={list(self.modality_order)} must name each modality once: {', '.join(MODALITIES)}.")

    def _token_id(self, token: str) -> int:
        number = self.tokenizer.convert_tokens_to_ids(token)
        if number is None or number == self.tokenizer.unk_token_id:
            raise ValueError(f"the tokenizer has no token {token}; prepare it with earthmind.tokenizer.add_special_tokens.")
        return int(number)

    @property
    def image_token_id(self) -> int:
        """Id of the placeholder every vision token replaces."""
        return self._ids[IMAGE_TOKEN]

    @property
    def seg_token_id(self) -> int:
        """Id of [SEG]."""
        return self._ids[SEG_TOKEN]

    @property
    def end_of_turn(self) -> str:
        """What ends an answer in the chosen template."""
        return get_template(self.template).assistant_end

    def stop_settings(self) -> dict[str, Any]:
        """Arguments of `generate` that end an answer: token ids, and a stop string where the end mark is several tokens."""
        ids = [] if self.tokenizer.eos_token_id is None else [self.tokenizer.eos_token_id]
        mark = self.tokenizer(self.end_of_turn, add_special_tokens=False).input_ids
        settings: dict[str, Any] = {"pad_token_id": self._pad_token_id()}
        if len(mark) == 1:
            ids.append(mark[0])
        else:
            settings.update(stop_strings=[self.end_of_turn], tokenizer=self.tokenizer)
        return {**settings, "eos_token_id": sorted(set(ids))} if ids else settings

    def _pad_token_id(self) -> int:
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else self.tokenizer.eos_token_id or 0)

    def encode(
        self,
        images: Mapping[str, Any],
        turns: Sequence[tuple[str, str]],
        *,
        regions: Sequence[np.ndarray] = (),
        masks: Sequence[np.ndarray] | None = None,
        max_length: int | None = None,
        for_generation: bool = False,
        with_grounding: bool = True,
        sample_id: str = "",
    ) -> dict[str, Any]:
        """One sample, ready for `collate`.

        Args:
            images: modality -> scene, Pillow image or uint8 array; any subset of the modalities, or none.
            turns: (role, text); the first user text holds `<image>` if there are images, and `<region>` once per region.
            regions: (H, W) bool masks in image coordinates.
            masks: (H, W) bool, one per [SEG] of the answers; None when predicting.
            max_length: most tokens; longer is an error, nothing is cut.
            for_generation: end with the opening of an answer.
            with_grounding: prepare SAM 2's image (it is only needed where masks are drawn).

        Raises:
            SampleError: counts or sizes disagree. SampleTooLongError: more than `max_length` tokens.
        """
        scenes = self._scenes(images, sample_id)
        tiles, group, streams = self._tiles(scenes)
        region_cells = [self._cells(region, scenes, sample_id) for region in regions]
        blocks = self._blocks(streams, len(tiles), region_cells)
        text = self._tokenise(turns, blocks, len(region_cells), for_generation, sample_id)
        if max_length is not None and len(text["input_ids"]) > max_length:
            raise SampleTooLongError(
                f"{sample_id}: {len(text['input_ids'])} tokens ({len(tiles)} tiles of {self._tokens_per_tile} vision tokens), at most {max_length} "
                "are allowed; nothing was cut. Raise max_length or lower max_tiles."
            )
        sample = {"sample_id": sample_id, "tiles": tiles, "tile_group": group, "tokens_per_tile": self._tokens_per_tile, **text}
        sample["placeholder_index"] = (text["input_ids"] == self.image_token_id).nonzero().flatten()
        sample["seg_places"] = (text["input_ids"] == self.seg_token_id).nonzero().flatten()
        sample["attention_columns"] = self._last_place_columns(sample, blocks, len(streams))
        wanted = with_grounding and bool(scenes) and (masks is None or len(masks) > 0)
        sample["grounding_images"] = self._grounding_images(scenes) if wanted else torch.zeros(0, 3, 1, 1, dtype=torch.uint8)
        if masks is not None:
            sample["masks"] = self._mask_stack(masks, scenes, len(sample["seg_places"]), sample_id)
        return sample

    def collate(self, samples: Sequence[Mapping[str, Any]], *, row_length: int | None = None, left_pad: bool = False) -> dict[str, Any]:
        """One batch of encoded samples; see `batching.collate`."""
        return collate(samples, pad_token_id=self._pad_token_id(), row_length=row_length, left_pad=left_pad)

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        *,
        videos: None = None,
        audio: None = None,
        modalities: Sequence[str] | None = None,
        with_grounding: bool = False,
        return_tensors: str | None = None,
        padding: Any = True,
        add_special_tokens: bool = False,
    ) -> BatchFeature:
        """Inputs of `generate` for prompts already in the chat format (what `apply_chat_template` and the pipelines hand in).

        Args:
            images: one image, a list, or a list of lists, one a prompt. One image is RGB, two are SAR and RGB; a mapping names its modalities.
            text: prompt or prompts, each with `<image>` where its images belong.
            videos, audio: always None; chat templates hand them in.
            modalities: names of a prompt's images, in order, where the rule above does not fit.
            with_grounding: prepare SAM 2's images too.
            return_tensors, padding, add_special_tokens: taken for the pipelines' sake; the result is always padded torch tensors, and
                the chat template already holds every control token.
        """
        if videos is not None or audio is not None:
            raise SampleError("videos and audio are not supported; give images.")
        prompts = [text] if isinstance(text, str) else list(text)
        per_prompt = _images_per_prompt(images, len(prompts))
        samples = []
        for prompt, pictures in zip(prompts, per_prompt, strict=True):
            named = pictures if isinstance(pictures, Mapping) else _name_images(pictures, modalities)
            first, *others = prompt.split(IMAGE_PLACEHOLDER)
            whole = first + (IMAGE_PLACEHOLDER if named and others else "") + "".join(part.lstrip("\n") if number else part for number, part in enumerate(others))
            samples.append(self._encode_prompt(named, whole, with_grounding))
        batch = self.collate(samples, left_pad=True)
        keep = ("input_ids", "attention_mask", "tiles", "tile_group", "placeholder_index", "vision_index")
        grounding = ("grounding_images", "grounding_owner") if with_grounding else ()
        return BatchFeature({key: batch[key] for key in (*keep, *grounding) if key in batch})

    def _encode_prompt(self, images: Mapping[str, Any], prompt: str, with_grounding: bool) -> dict[str, Any]:
        if images and IMAGE_PLACEHOLDER not in prompt:
            start = get_template(self.template).user_start
            place = prompt.index(start) + len(start) if start in prompt else 0
            prompt = f"{prompt[:place]}{IMAGE_PLACEHOLDER}\n{prompt[place:]}"
        return self._encode_pieces(images, [Piece(prompt, True, False)], with_grounding)

    def _encode_pieces(self, images: Mapping[str, Any], pieces: list[Piece], with_grounding: bool) -> dict[str, Any]:
        scenes = self._scenes(images, "prompt")
        tiles, group, streams = self._tiles(scenes)
        blocks = self._blocks(streams, len(tiles), [])
        sample = {"tiles": tiles, "tile_group": group, "tokens_per_tile": self._tokens_per_tile, **self._splice(pieces, blocks, 0, "prompt")}
        sample["placeholder_index"] = (sample["input_ids"] == self.image_token_id).nonzero().flatten()
        sample["seg_places"] = torch.zeros(0, dtype=torch.long)
        sample["grounding_images"] = self._grounding_images(scenes) if with_grounding and scenes else torch.zeros(0, 3, 1, 1, dtype=torch.uint8)
        return sample

    def post_process_masks(self, logits: Tensor, size: tuple[int, int]) -> np.ndarray:
        """(K, H, W) bool masks at the image's own size from (K, h, w) mask logits."""
        scaled = torch.nn.functional.interpolate(logits[:, None].float(), size=size, mode="bilinear", align_corners=False)
        return (scaled[:, 0] > 0).cpu().numpy()

    def decode_answer(self, token_ids: Tensor) -> str:
        """The answer's text with [SEG] and phrase marks kept, without the end mark and padding."""
        text = self.tokenizer.decode([number for number in token_ids.tolist() if number != self.tokenizer.pad_token_id], skip_special_tokens=False)
        text = text.split(self.end_of_turn)[0]
        if self.tokenizer.eos_token:
            text = text.split(self.tokenizer.eos_token)[0]
        return text.strip()

    @property
    def _tokens_per_tile(self) -> int:
        return self.tile_tokens[0] * self.tile_tokens[1]

    def _scenes(self, images: Mapping[str, Any], sample_id: str) -> dict[str, SceneLike]:
        unknown = sorted(set(images) - set(MODALITIES))
        if unknown:
            raise SampleError(f"{sample_id}: modalities {unknown} are unknown; choices: {', '.join(MODALITIES)}.")
        return {name: as_scene(images[name]) for name in self.modality_order if name in images}

    def _tiles(self, scenes: Mapping[str, SceneLike]) -> tuple[Tensor, Tensor, list[str]]:
        """Tiles place by place (all views of all sensors of a place, then the next), their groups, and the modality of each view."""
        if not scenes:
            return torch.zeros(0, self.num_channels, 1, 1, dtype=torch.uint8), torch.zeros(2, 0, dtype=torch.long), []
        height, width = max((scene.pixels.shape[1:] for scene in scenes.values()), key=lambda size: size[0] * size[1])
        grid = tile_grid(height, width, tile_size=self.tile_size, min_tiles=self.min_tiles, max_tiles=self.max_tiles)
        streams, cut = [], []
        for name, scene in scenes.items():
            for view in present(scene, self.presentation[name], num_channels=self.num_channels):
                streams.append(name)
                cut.append(cut_tiles(view, grid, tile_size=self.tile_size, use_thumbnail=self.use_thumbnail))
        stacked = np.stack(cut, axis=1)
        places, views = stacked.shape[:2]
        names = list(dict.fromkeys(streams))
        kind = torch.tensor([names.index(name) for name in streams])
        place = torch.arange(places)[:, None].expand(places, views)
        group = torch.stack([place.reshape(-1), (place * len(names) + kind).reshape(-1)])
        return torch.from_numpy(stacked.reshape(-1, *stacked.shape[2:]).copy()), group, streams

    def _blocks(self, streams: list[str], num_tiles: int, regions: list[Tensor]) -> dict[str, Any]:
        """Vision tokens in the order their placeholders stand in the text.

        `images` [(name, index)], `regions` [index], and `last`: those of the place that shows the whole image (thumbnail or only tile),
        view by view, none where no place does.
        """
        size, views = self._tokens_per_tile, len(streams)
        index = torch.arange(num_tiles * size).view(-1, size)
        if not num_tiles:
            return {"images": [], "regions": []}
        by_view = index.view(-1, views, size)
        if self.token_order == "place":
            images = [("", index.reshape(-1))]
        else:
            names = list(dict.fromkeys(streams))
            images = [(name, by_view[:, [number for number, stream in enumerate(streams) if stream == name]].reshape(-1)) for name in names]
        whole = num_tiles == views or self.use_thumbnail
        if regions and not whole:
            raise SampleError(
                f"regions are read from the thumbnail, but the image was cut into {num_tiles // views} tiles and use_thumbnail=False "
                "leaves it out; they would point at one tile. Set use_thumbnail=True or max_tiles=1."
            )
        last = by_view[-1] if whole else by_view[-1, :, :0]
        return {"images": images, "regions": [last[:, cells].reshape(-1) for cells in regions], "last": last.reshape(-1)}

    def _tokenise(self, turns: Sequence[tuple[str, str]], blocks: dict[str, Any], num_regions: int, for_generation: bool, sample_id: str) -> dict[str, Tensor]:
        pieces = render(turns, get_template(self.template), add_generation_prompt=for_generation)
        return self._splice(pieces, blocks, num_regions, sample_id)

    def _splice(self, pieces: list[Piece], blocks: dict[str, Any], num_regions: int, sample_id: str) -> dict[str, Tensor]:
        """Token ids and labels; vision placeholders are put in as ids, never tokenised as text."""
        ids: list[int] = []
        labels: list[int] = []
        order: list[Tensor] = []
        image_start = 0
        found = {IMAGE_PLACEHOLDER: 0, REGION_PLACEHOLDER: 0}
        regions = iter(blocks["regions"])
        for piece in pieces:
            for part in [piece.text] if piece.scored else _SLOTS.split(piece.text):
                if part in found and not piece.scored:
                    found[part] += 1
                    if part == IMAGE_PLACEHOLDER:
                        image_start = sum(len(index) for index in order)
                    new, used = self._image_run(blocks) if part == IMAGE_PLACEHOLDER else self._region_run(next(regions, None))
                    order += used
                else:
                    new = self._text_ids(part, piece.trusted)
                ids += new
                labels += new if piece.scored else [IGNORE] * len(new)
        wanted_images = int(bool(blocks["images"]))
        if found[IMAGE_PLACEHOLDER] != wanted_images or found[REGION_PLACEHOLDER] != num_regions:
            raise SampleError(
                f"{sample_id}: the user text holds {found[IMAGE_PLACEHOLDER]} {IMAGE_PLACEHOLDER} and {found[REGION_PLACEHOLDER]} {REGION_PLACEHOLDER}, "
                f"but there are {len(blocks['images'])} image blocks (one {IMAGE_PLACEHOLDER} stands for all) and {num_regions} regions; "
                "answers would be learnt from the wrong place. Correct the text or the images."
            )
        vision = torch.cat(order) if order else torch.zeros(0, dtype=torch.long)
        if ids.count(self.image_token_id) != len(vision):
            raise SampleError(
                f"{sample_id}: the text itself holds {IMAGE_TOKEN}, which stands for vision tokens alone; they could not be told apart. "
                f"Write {IMAGE_PLACEHOLDER} where the images belong."
            )
        return {
            "input_ids": torch.tensor(ids, dtype=torch.long),
            "labels": torch.tensor(labels, dtype=torch.long),
            "vision_index": vision,
            "image_start": image_start,
        }

    def _text_ids(self, text: str, trusted: bool) -> list[int]:
        # user text cannot smuggle in [SEG] or chat marks: without trust, special tokens are split into plain pieces
        key = (text, trusted)
        if key not in self._known_texts:
            if len(self._known_texts) >= KNOWN_TEXTS:
                self._known_texts.clear()
            self._known_texts[key] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=not trusted).input_ids if text else []
        return list(self._known_texts[key])

    def _image_run(self, blocks: dict[str, Any]) -> tuple[list[int], list[Tensor]]:
        ids: list[int] = []
        for name, index in blocks["images"]:
            label = f"{name}: " if name else ""
            ids += self._text_ids(label + IMAGE_START, True) + [self.image_token_id] * len(index) + self._text_ids(IMAGE_END, True)
        return ids, [index for _, index in blocks["images"]]

    def _region_run(self, index: Tensor | None) -> tuple[list[int], list[Tensor]]:
        if index is None:
            return [], []
        return self._text_ids(REGION_START, True) + [self.image_token_id] * len(index) + self._text_ids(REGION_END, True), [index]

    def _cells(self, region: np.ndarray, scenes: Mapping[str, SceneLike], sample_id: str) -> Tensor:
        """Token numbers of a tile (thumbnail or only tile) that the region touches; every region with area has at least one."""
        self._check_size(region, scenes, sample_id, "region")
        if not region.any():
            raise SampleError(f"{sample_id}: a region mask is empty, so there is nothing to look at; remove the region or correct its mask.")
        cells = torch.nn.functional.adaptive_max_pool2d(torch.from_numpy(region.astype(np.float32))[None], self.tile_tokens)
        return cells.flatten().nonzero().flatten()

    def _last_place_columns(self, sample: Mapping[str, Any], blocks: dict[str, Any], num_views: int) -> Tensor:
        """Places in the text of the last tile place's tokens (thumbnail or only tile), view by view; for the attention loss."""
        if not blocks["images"]:
            return torch.zeros(0, dtype=torch.long)
        start = sample["image_start"]
        own = slice(start, start + sum(len(index) for _, index in blocks["images"]))
        place_of = torch.full((int(sample["vision_index"].max()) + 1,), -1, dtype=torch.long)
        place_of[sample["vision_index"][own]] = sample["placeholder_index"][own]
        return place_of[blocks["last"]]

    def drawn_on(self, modalities: Collection[str]) -> list[str]:
        """Which of these modalities masks are drawn on; they lie on the pixel grid of the first."""
        chosen = [name for name in self.grounding_order if name in modalities] or list(modalities)
        return chosen[:1] if self.grounding == "first" else chosen

    def _grounding_images(self, scenes: Mapping[str, SceneLike]) -> Tensor:
        chosen = self.drawn_on(scenes)
        size = (self.grounding_size, self.grounding_size)
        pictures = [resize(grounding_image(scenes[name], self.presentation[name]), size, resample=Image.Resampling.BILINEAR) for name in chosen]
        return torch.from_numpy(np.stack(pictures).copy())

    def _mask_stack(self, masks: Sequence[np.ndarray], scenes: Mapping[str, SceneLike], num_seg: int, sample_id: str) -> Tensor:
        if len(masks) != num_seg:
            raise SampleError(
                f"{sample_id}: the answers hold {num_seg} {SEG_TOKEN} but there are {len(masks)} masks; masks would be learnt for the wrong phrase. "
                "Give one mask per token, in order."
            )
        for mask in masks:
            self._check_size(mask, scenes, sample_id, "mask")
        size = (self.grounding_size, self.grounding_size)
        layers = [resize(mask.astype(np.uint8)[None], size, resample=Image.Resampling.NEAREST)[0] for mask in masks]
        return torch.from_numpy(np.stack(layers).copy()) if layers else torch.zeros(0, *size, dtype=torch.uint8)

    def _check_size(self, mask: np.ndarray, scenes: Mapping[str, SceneLike], sample_id: str, what: str) -> None:
        sizes = {scene.pixels.shape[1:] for scene in scenes.values()}
        if mask.ndim != 2 or mask.shape not in sizes:
            raise SampleError(f"{sample_id}: a {what} is {mask.shape} px but the images are {sorted(sizes)} px (height, width); they must agree.")


def _images_per_prompt(images: Any, num_prompts: int) -> list[Any]:
    if images is None:
        return [[] for _ in range(num_prompts)]
    if isinstance(images, Mapping) or not isinstance(images, (list, tuple)):
        images = [images]
    nested = [item if isinstance(item, (list, tuple, Mapping)) else [item] for item in images]
    if len(nested) == num_prompts:
        return nested
    if num_prompts == 1:
        return [[picture for item in nested for picture in item]]
    raise SampleError(f"{len(nested)} images or lists of images for {num_prompts} prompts; give one list a prompt.")


def _name_images(pictures: Sequence[Any], modalities: Sequence[str] | None) -> dict[str, Any]:
    names = tuple(modalities) if modalities else {0: (), 1: ("rgb",), 2: PUBLISHED_ORDER}.get(len(pictures))
    if names is None or len(names) != len(pictures):
        raise SampleError(f"{len(pictures)} images but modalities={modalities}; name each image, choices: {', '.join(MODALITIES)}.")
    return dict(zip(names, pictures, strict=True))
