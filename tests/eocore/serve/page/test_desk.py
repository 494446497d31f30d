from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eocore.data.records import ImageRef
from eocore.predict.image_files import ImageFile
from eocore.serve.page.desk import NOT_SHOWN, ChatSettings, Desk, DeskImage, Piece, Region, Round, role_of
from eocore.serve.page.intake import desk_image


@pytest.fixture
def image(tmp_path: Path) -> DeskImage:
    return made(tmp_path, "a.png")


def made(folder: Path, name: str) -> DeskImage:
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(folder / name)
    file = ImageFile((str(folder / name),), "rgb_uint8")
    return desk_image(ImageRef("rgb", "rgb_uint8", file.paths), file, title=name)


def finished(question: str, images: dict[str, str], **fields: object) -> Round:
    found = Round(question=question, model="m", images=images, answer=f"{question}!", state="done", is_new=False)
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def test_the_model_sees_the_newest_image_of_a_role(tmp_path: Path, image: DeskImage) -> None:
    desk, newer = Desk(), made(tmp_path, "b.png")
    desk.add(image)
    desk.add(newer)
    assert (image.role, newer.role) == ("", "rgb")
    assert desk.shown() == {"rgb": newer} and desk.left == newer.key


def test_an_image_takes_the_free_side_where_two_are_compared(tmp_path: Path, image: DeskImage) -> None:
    second, third = (made(tmp_path, name) for name in ("b.png", "c.png"))
    desk = Desk(mode="swipe")
    desk.add(image)
    assert (desk.left, desk.right) == (image.key, "")
    desk.right = image.key  # as the viewer has one image on both sides
    desk.add(second)
    assert (desk.left, desk.right) == (image.key, second.key)
    desk.add(third)
    assert (desk.left, desk.right) == (third.key, second.key)


def test_the_image_in_the_viewer_is_first(tmp_path: Path, image: DeskImage) -> None:
    desk, other = Desk(), made(tmp_path, "b.png")
    desk.add(image)
    desk.add(other)
    image.role, other.role = "rgb", "sar"
    assert list(desk.shown()) == ["sar", "rgb"]
    desk.left = image.key
    assert list(desk.shown()) == ["rgb", "sar"]


def test_what_lies_on_an_image_goes_with_it(image: DeskImage) -> None:
    desk = Desk()
    desk.add(image)
    desk.region = Region("box", image.key, ((0, 0), (4, 0), (4, 4), (0, 4)))
    desk.remove(image.key)
    assert not desk.images and desk.region is None and desk.left == ""


def test_a_question_goes_on_with_what_was_said_about_the_same_images() -> None:
    images = {"rgb": "k1"}
    desk = Desk(rounds=[finished("one", images, is_new=True), finished("two", images)])
    assert desk.earlier_turns(images, "m") == [("user", "one"), ("assistant", "one!"), ("user", "two"), ("assistant", "two!")]
    assert desk.earlier_turns({"rgb": "k2"}, "m") == []  # other images
    assert desk.earlier_turns(images, "other") == []  # another model
    desk.begins_anew = True
    assert desk.earlier_turns(images, "m") == []


def test_what_failed_is_left_out_and_a_part_alone_is_no_beginning() -> None:
    images = {"rgb": "k1"}
    rounds = [finished("one", images, is_new=True), finished("bad", images, state="failed"), finished("two", images)]
    assert [text for _, text in Desk(rounds=rounds).earlier_turns(images, "m")] == ["one", "one!", "two", "two!"]
    rounds[-1].region_use = "cut"
    assert Desk(rounds=rounds).earlier_turns(images, "m") == []
    begun = [finished("old", images, is_new=True), finished("new", images, is_new=True)]
    assert [text for _, text in Desk(rounds=begun).earlier_turns(images, "m")] == ["new", "new!"]


def test_a_region_has_whole_pixels() -> None:
    region = Region("polygon", "k", ((1.2, 2.7), (9.1, 3.0), (5.0, 8.4)))
    assert region.bounds == (1, 2, 9, 7)
    assert region.describe() == "polygon of 9 x 7 px at column 1, row 2"


def test_an_answer_in_words_has_no_masks() -> None:
    pieces = [Piece("the lake "), Piece(mask=0, phrase="lake"), Piece("here")]
    assert Round(question="q", model="m", images={}, pieces=pieces).text == "the lake here"


def test_options_of_drawing_count_only_where_words_are_drawn() -> None:
    assert ChatSettings().generation() == {}
    assert ChatSettings(samples=True, temperature=0.5, top_p=0.8).generation() == {"do_sample": True, "temperature": 0.5, "top_p": 0.8}


@pytest.mark.parametrize(("unit", "role"), [("uint8", "rgb"), ("sigma0_db", "sar"), ("reflectance", "multispectral")])
def test_a_role_is_told_by_the_unit(unit: str, role: str) -> None:
    assert role_of(unit) == role


def test_dates_tell_images_of_one_role_apart_for_a_model_that_reads_series(tmp_path: Path) -> None:
    desk = Desk()
    later, earlier = made(tmp_path, "a_2021-06-01.png"), made(tmp_path, "b_20210304.png")
    desk.add(later)
    desk.add(earlier)
    assert (later.time, earlier.time) == ("2021-06-01", "2021-03-04") and later.role == earlier.role == "rgb"
    assert list(desk.shown(series=True).items()) == [("rgb 2021-03-04", earlier), ("rgb 2021-06-01", later)]
    assert desk.shown() == {"rgb": earlier}
    desk.left = later.key
    assert desk.shown() == {"rgb": later}
    desk.set_time(later, earlier.time)
    assert earlier.role == "" and desk.shown(series=True) == {"rgb": later}


def test_an_image_that_lost_its_role_has_it_again_once_dates_tell_it_apart(tmp_path: Path) -> None:
    desk = Desk()
    first, second = made(tmp_path, "a.png"), made(tmp_path, "b.png")
    desk.add(first)
    desk.add(second)
    assert (first.role, first.given_up, second.role) == ("", "rgb", "rgb")
    desk.set_time(first, "2021-03-04")
    assert first.role == ""  # the other has no date
    desk.set_time(second, "2021-03-04")
    assert first.role == ""
    desk.set_time(second, "2021-06-01")
    assert (first.role, first.given_up) == ("rgb", "")
    desk.set_role(first, NOT_SHOWN)
    desk.set_time(first, "2021-02-01")
    assert first.role == ""  # as the user chose
