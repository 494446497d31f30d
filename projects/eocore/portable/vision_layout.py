"""Scenes of one sample -> tiles, and the order in which their vision tokens stand in the text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from eocore.portable.band_rendering import SceneLike, present
from eocore.portable.image_tiling import cut_tiles, tile_grid
from eocore.portable.sample_error import SampleError as SampleError

TOKEN_ORDERS = ("place", "modality")


@dataclass(frozen=True, kw_only=True)
class VisionOptions:
    """How scenes become tiles and tokens.

    Attributes:
        tile_size: side of a tile [px].
        min_tiles, max_tiles, use_thumbnail: dynamic tiling, see `image_tiling`.
        tile_tokens: (rows, columns) of vision tokens of one tile.
        num_channels: channels of the vision tower's patch embedding.
        channel_fill: what each of them shows where it is `none` [uint8]: the mean that the model subtracts.
        presentation: role -> rule, see `band_rendering`.
        token_order: "place" (as upstream: all sensors of a tile position, then the next position, in one block) or "modality" (a named
            block for each sensor).
        fuse_sensors: the model makes one tile's tokens of all sensors of a position.
        average_views: with `fuse_sensors`, whether several views of one sensor go into them as their mean; else they are an error beside
            another sensor, and those of a sensor alone keep their own tokens, as without fusion.
        series_tiles: most tiles of each moment of a series, in place of `max_tiles`: its tokens add up over the moments.

    Raises:
        ValueError: the order is unknown, or needs tokens of each sensor that a fusion does not leave.
    """

    tile_size: int = 448
    min_tiles: int = 1
    max_tiles: int = 12
    use_thumbnail: bool = True
    tile_tokens: tuple[int, int] = (16, 16)
    num_channels: int = 3
    channel_fill: Sequence[int] = ()
    presentation: Mapping[str, Any] = field(default_factory=dict)
    token_order: str = "place"
    fuse_sensors: bool = False
    average_views: bool = True
    series_tiles: int = 1

    def __post_init__(self) -> None:
        if self.token_order not in TOKEN_ORDERS:
            raise ValueError(f"token_order='{self.token_order}' is unknown; choices: {', '.join(TOKEN_ORDERS)}.")
        if self.fuse_sensors and self.token_order != "place":
            raise ValueError(
                f"token_order='{self.token_order}' gives each sensor a block of tokens, but the model fuses the sensors of a position to "
                "the tokens of one tile. Set token_order='place', or another fusion."
            )
        if self.series_tiles < 1:
            raise ValueError(f"series_tiles={self.series_tiles}, expected at least one tile for each moment of a series.")
        object.__setattr__(self, "tile_tokens", tuple(self.tile_tokens))
        object.__setattr__(self, "channel_fill", tuple(self.channel_fill))

    @property
    def tokens_per_tile(self) -> int:
        """Vision tokens of one tile."""
        return self.tile_tokens[0] * self.tile_tokens[1]

    def of_series(self) -> Self:
        """The same with the limits that hold for each moment of a series."""
        most = min(self.series_tiles, self.max_tiles)
        return replace(self, min_tiles=min(self.min_tiles, most), max_tiles=most)


@dataclass(frozen=True)
class VisionLayout:
    """What a sample shows. A position is one cell of the tile grid, or the thumbnail; a view is one band rendering of one sensor.

    Attributes:
        tiles: (T, C, P, P) uint8, position by position, within a position view by view.
        tile_group: (2, T) numbers of position, and of position and sensor.
        blocks: (text before the block, indices of vision tokens) of each block of placeholders.
        num_tokens: vision tokens of all blocks.
        wholes: of each moment, (views, N) numbers of the tokens of the position that shows the whole image (thumbnail or only tile);
            (views, 0) where no position does. Where sensors are fused, all count as one view. Empty without images.
        num_positions: of each moment; tiles where each is a location of its own.
    """

    tiles: Tensor
    tile_group: Tensor
    blocks: list[tuple[str, Tensor]] = field(default_factory=list)
    num_tokens: int = 0
    wholes: list[Tensor] = field(default_factory=list)
    num_positions: list[int] = field(default_factory=list)

    def region_tokens(self, region: np.ndarray, rule: VisionOptions, *, sample_id: str, moment: int = 0) -> Tensor:
        """Numbers of the tokens that a region (H, W) bool touches, view by view; every region with area has at least one.

        Args:
            region: in coordinates of the image.
            rule: of the layout.
            sample_id: for messages.
            moment: whose image it lies on.

        Raises:
            SampleError: the region is empty, or no position shows the whole image.
        """
        if not region.any():
            raise SampleError(
                f"{sample_id}: a region mask is empty, so there is nothing to look at; remove the region or correct its mask."
            )
        whole = self.wholes[moment] if self.wholes else torch.zeros(0, 0, dtype=torch.long)
        if not whole.numel():
            raise SampleError(
                f"{sample_id}: regions are read from the thumbnail, but the image was cut into tiles and use_thumbnail=False leaves it "
                "out; they would point at one tile. Set use_thumbnail=True or max_tiles=1."
            )
        cells = torch.nn.functional.adaptive_max_pool2d(torch.from_numpy(region.astype(np.float32))[None], rule.tile_tokens)
        return whole[:, cells.flatten().nonzero().flatten()].reshape(-1)


def lay_out(scenes: Mapping[str, SceneLike], rule: VisionOptions) -> VisionLayout:
    """Tiles and token order of scenes, given in the order of their tokens. All sensors share one tile grid, the largest scene's."""
    views = {
        name: present(scene, rule.presentation[name], num_channels=rule.num_channels, fill=rule.channel_fill)
        for name, scene in scenes.items()
    }
    layout = plan_layout({name: (*shown.shape[2:], len(shown)) for name, shown in views.items()}, rule)
    if not scenes:
        return layout
    grid = common_grid([shown.shape[2:] for shown in views.values()], rule)
    cut = [cut_tiles(view, grid, tile_size=rule.tile_size, use_thumbnail=rule.use_thumbnail) for shown in views.values() for view in shown]
    stacked = np.stack(cut, axis=1)
    return replace(layout, tiles=torch.from_numpy(stacked.reshape(-1, *stacked.shape[2:]).copy()))


def lay_out_series(moments: Sequence[Mapping[str, SceneLike]], rule: VisionOptions, *, leads: Sequence[str]) -> VisionLayout:
    """Tiles and token order of scenes of several moments: each moment is laid out, and fused, by itself.

    Args:
        moments: of each, the scenes in the order of their tokens; at least one.
        rule: of the model.
        leads: see `join_layouts`.
    """
    own = rule.of_series()
    return join_layouts([lay_out(scenes, own) for scenes in moments], leads)


def plan_layout(shapes: Mapping[str, tuple[int, int, int]], rule: VisionOptions) -> VisionLayout:
    """The layout of scenes of (height, width, number of views) in the order of their tokens, with tiles of no size in place of theirs."""
    if not shapes:
        return VisionLayout(torch.zeros(0, rule.num_channels, 1, 1, dtype=torch.uint8), torch.zeros(2, 0, dtype=torch.long))
    fuses = rule.fuse_sensors and (len(shapes) > 1 or rule.average_views)
    if fuses:
        _check_views({name: num_views for name, (_, _, num_views) in shapes.items()}, rule)
        _check_grids(shapes, rule)
    rows, columns = common_grid([(height, width) for height, width, _ in shapes.values()], rule)
    num_positions = rows * columns + int(rule.use_thumbnail and rows * columns > 1)
    streams = [name for name, (_, _, num_views) in shapes.items() for _ in range(num_views)]
    num_tiles = num_positions * len(streams)
    shown = ["fused"] if fuses else streams
    tokens = torch.arange(num_positions * len(shown) * rule.tokens_per_tile).view(num_positions, len(shown), rule.tokens_per_tile)
    shows_whole = num_positions == 1 or rule.use_thumbnail
    return VisionLayout(
        torch.zeros(num_tiles, rule.num_channels, 0, 0, dtype=torch.uint8),
        # without fusion of what one sensor shows, each tile is a location of its own
        _group(streams, num_positions) if fuses or not rule.fuse_sensors else torch.arange(num_tiles).expand(2, -1),
        _blocks(tokens, shown, rule=rule),
        tokens.numel(),
        [tokens[-1] if shows_whole else tokens[-1, :, :0]],
        [num_positions if fuses or not rule.fuse_sensors else num_tiles],
    )


def join_layouts(parts: Sequence[VisionLayout], leads: Sequence[str]) -> VisionLayout:
    """The layout of several moments, one after another: nothing is fused across them.

    Args:
        parts: of each moment, at least one.
        leads: text in front of each one's first block; it is put before the text of that block, and of its further ones too but for a line
            break that it begins with.
    """
    position = view = token = 0
    groups, blocks, wholes = [], [], []
    for part, lead in zip(parts, leads, strict=True):
        groups.append(part.tile_group + torch.tensor([[position], [view]]))
        for number, (text, index) in enumerate(part.blocks):
            blocks.append(((lead.lstrip("\n") if number else lead) + text, index + token))
        wholes += [whole + token for whole in part.wholes]
        position += int(part.tile_group[0].max()) + 1
        view += int(part.tile_group[1].max()) + 1
        token += part.num_tokens
    tiles, group = torch.cat([part.tiles for part in parts]), torch.cat(groups, dim=1)
    return VisionLayout(tiles, group, blocks, token, wholes, [count for part in parts for count in part.num_positions])


def _check_views(num_views: Mapping[str, int], rule: VisionOptions) -> None:
    """Raise SampleError where a fusion would have to average several views of one sensor and may not."""
    several = {name: count for name, count in num_views.items() if count > 1}
    if rule.fuse_sensors and several and not rule.average_views:
        found = ", ".join(f"{name} {count}" for name, count in several.items())
        raise SampleError(
            f"several views (band renderings) of one sensor: {found}; the model fuses one view a sensor. Average them position by position "
            "(hca.average_views=True in the model's config), or give the sensor one view in processor.presentation."
        )


def _check_grids(shapes: Mapping[str, tuple[int, int, int]], rule: VisionOptions) -> None:
    """Raise SampleError where sensors would, each by itself, be cut into grids of unlike shape: one tile would show different ground."""
    grids = {name: common_grid([(height, width)], rule) for name, (height, width, _) in shapes.items()}
    if len({rows / columns for rows, columns in grids.values()}) > 1:
        found = ", ".join(f"{name} {shapes[name][0]} x {shapes[name][1]} px: {rows} x {columns}" for name, (rows, columns) in grids.items())
        raise SampleError(
            f"the sensors' tile grids do not agree ({found}; rows x columns), so tiles that are fused would show different ground. Crop "
            "the images to the same area, or ask about each by itself."
        )


def common_grid(sizes: Sequence[tuple[int, ...]], rule: VisionOptions) -> tuple[int, int]:
    """(rows, columns) of tiles that all images of (height, width) are cut into: the largest one's."""
    height, width = max(sizes, key=lambda size: size[0] * size[1])
    return tile_grid(height, width, tile_size=rule.tile_size, min_tiles=rule.min_tiles, max_tiles=rule.max_tiles)


def _group(streams: Sequence[str], num_positions: int) -> Tensor:
    names = list(dict.fromkeys(streams))
    kind = torch.tensor([names.index(name) for name in streams])
    position = torch.arange(num_positions)[:, None].expand(num_positions, len(streams))
    return torch.stack([position.reshape(-1), (position * len(names) + kind).reshape(-1)])


def _blocks(tokens: Tensor, streams: Sequence[str], *, rule: VisionOptions) -> list[tuple[str, Tensor]]:
    """Blocks of token numbers (positions, views, N) in the configured order."""
    if rule.token_order == "place":
        return [("", tokens.reshape(-1))]
    names = list(dict.fromkeys(streams))
    return [(f"{name}: ", tokens[:, [number for number, stream in enumerate(streams) if stream == name]].reshape(-1)) for name in names]
