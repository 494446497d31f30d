import numpy as np
import pytest
from PIL import Image

from eocore.portable.image_tiling import cut_tiles, resize, tile_grid


class TestTileGrid:
    @pytest.mark.parametrize(
        ("height", "width", "expected"),
        [(448, 448, (1, 1)), (1600, 400, (4, 1)), (400, 1600, (1, 4)), (600, 800, (3, 4)), (897, 449, (2, 1)), (100, 5000, (1, 12))],
    )
    def test_aspect_ratio_decides(self, height: int, width: int, expected: tuple[int, int]) -> None:
        assert tile_grid(height, width, tile_size=448) == expected

    def test_no_other_grid_has_a_nearer_aspect_ratio(self) -> None:
        for height, width in np.random.default_rng(0).integers(50, 3000, (50, 2)).tolist():
            rows, columns = tile_grid(height, width, tile_size=448)
            distances = [abs(width / height - w / h) for h in range(1, 13) for w in range(1, 13) if h * w <= 12]
            assert abs(width / height - columns / rows) == min(distances)

    def test_more_pixels_take_the_larger_of_two_equal_grids(self) -> None:
        half = 448 * 448 * 4 * 0.5
        small, large = int(np.sqrt(half)) - 1, int(np.sqrt(half)) + 1
        assert tile_grid(small, small, tile_size=448) == (1, 1)
        assert tile_grid(large, large, tile_size=448) == (2, 2)

    def test_limits_hold(self) -> None:
        for height, width in [(100, 100), (3000, 200), (5000, 5000)]:
            rows, columns = tile_grid(height, width, tile_size=64, min_tiles=2, max_tiles=6)
            assert 2 <= rows * columns <= 6

    @pytest.mark.parametrize("wrong", [{"height": 0}, {"tile_size": 0}, {"min_tiles": 0}, {"min_tiles": 4, "max_tiles": 3}])
    def test_impossible_limits_are_named(self, wrong: dict[str, int]) -> None:
        arguments = {"height": 10, "width": 10, "tile_size": 8, **wrong}
        with pytest.raises(ValueError, match=r"cannot tile .* all must be positive"):
            tile_grid(arguments.pop("height"), arguments.pop("width"), **arguments)


class TestCutTiles:
    def test_tiles_go_row_by_row_and_the_thumbnail_comes_last(self) -> None:
        image = np.zeros((3, 8, 12), np.uint8)
        for row in range(2):
            for column in range(3):
                image[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 10 * (3 * row + column)
        tiles = cut_tiles(image, (2, 3), tile_size=4, use_thumbnail=True)
        assert tiles.shape == (7, 3, 4, 4)
        assert [int(tile.mean()) for tile in tiles[:6]] == [0, 10, 20, 30, 40, 50]
        assert np.array_equal(tiles[6], resize(image, (4, 4)))

    def test_one_tile_is_its_own_thumbnail(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (3, 9, 7), np.uint8)
        tiles = cut_tiles(image, (1, 1), tile_size=4, use_thumbnail=True)
        assert tiles.shape == (1, 3, 4, 4)
        assert np.array_equal(tiles[0], resize(image, (4, 4)))

    def test_the_thumbnail_can_be_left_out(self) -> None:
        assert cut_tiles(np.zeros((3, 8, 8), np.uint8), (2, 2), tile_size=4, use_thumbnail=False).shape == (4, 3, 4, 4)

    def test_pixels_stay_where_no_scaling_is_needed(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
        tiles = cut_tiles(image, (2, 2), tile_size=4, use_thumbnail=False)
        assert np.array_equal(tiles[1], image[:, :4, 4:])
        assert np.array_equal(tiles[2], image[:, 4:, :4])


class TestResize:
    def test_each_layer_is_scaled_as_in_a_picture(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (3, 20, 30), np.uint8)
        picture = Image.fromarray(image.transpose(1, 2, 0)).resize((9, 7), Image.Resampling.BICUBIC)
        assert np.array_equal(resize(image, (7, 9)), np.asarray(picture).transpose(2, 0, 1))
        more = np.concatenate([image, image[:1]])
        assert np.array_equal(resize(more, (7, 9))[:3], resize(image, (7, 9)))
        assert np.array_equal(resize(more, (7, 9))[3], resize(image, (7, 9))[0])

    def test_nearest_makes_no_new_values(self) -> None:
        mask = (np.random.default_rng(0).random((1, 33, 21)) > 0.5).astype(np.uint8)
        assert set(np.unique(resize(mask, (64, 64), resample=Image.Resampling.NEAREST))) <= {0, 1}


@pytest.mark.parametrize("order", ["layer by layer", "pixel by pixel"])
def test_three_layers_are_resized_as_one_picture_however_they_lie_in_memory(order: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    image = pixels.transpose(2, 0, 1)
    image = image if order == "pixel by pixel" else np.ascontiguousarray(image)
    expected = np.asarray(Image.fromarray(pixels).resize((21, 17), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert (resize(image, (17, 21)) == expected).all()
    assert (resize(image[:2], (17, 21)) == expected[:2]).all()
