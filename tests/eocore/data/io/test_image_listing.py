"""Images below a folder: files by their endings, products whole, nothing hidden."""

from pathlib import Path

from eocore.data.io.image_listing import list_images


def test_files_and_product_folders_are_listed_and_nothing_inside_a_product(tmp_path: Path) -> None:
    product = "S2A_MSIL2A_20240531T101031_N0510_R022_T32UQD_20240531T140000.SAFE"
    for name in ("b/x.TIF", "a.png", "b/notes.txt", "b/meta.json", ".hidden/y.tif", "b/.z.png", f"d/{product}/GRANULE/L2A/B02.jp2"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list_images(tmp_path) == ["a.png", "b/x.TIF", f"d/{product}"]
