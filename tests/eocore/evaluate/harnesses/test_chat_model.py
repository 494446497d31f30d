import pytest
from PIL import Image

from eocore.errors import CheckpointError, ConfigError, DataError
from eocore.evaluate.harnesses.chat_model import ChatModel, Video, open_picture, open_video, read_question, until

FIRST, SECOND, THIRD = (Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue"))


def test_untagged_pictures_take_the_modalities_in_order():
    question = read_question([FIRST, SECOND, "<image>What is there?"])
    assert dict(question.images) == {"rgb": FIRST, "sar": SECOND}
    assert question.text == "What is there?"
    assert dict(read_question([FIRST, "?"], modalities=["sar"]).images) == {"sar": FIRST}


def test_tags_name_the_pictures_and_leave_the_text():
    question = read_question(["Look.\nSAR:", FIRST, "Optical image: ", SECOND, "Compare them: say yes or no."])
    assert dict(question.images) == {"sar": FIRST, "rgb": SECOND}
    assert question.text == "Look.\nCompare them: say yes or no."


@pytest.mark.parametrize("parts", [[FIRST, SECOND, THIRD, "?"], ["SAR:", FIRST, "SAR:", SECOND]])
def test_no_picture_is_left_out_in_silence(parts):
    with pytest.raises(DataError, match=r"a message has \d pictures; the model takes one of each of rgb, sar"):
        read_question(parts)


def test_pictures_come_as_paths_or_as_themselves(tmp_path):
    FIRST.convert("L").save(tmp_path / "a.png")
    assert open_picture(str(tmp_path / "a.png")).mode == "RGB"
    assert open_picture(FIRST).size == (8, 8)
    (tmp_path / "b.png").write_bytes(b"no picture")
    for wrong in (tmp_path / "b.png", tmp_path / "none.png", 7):
        with pytest.raises(DataError, match=r"cannot be read as a picture|expected a picture or the path of one, found int"):
            open_picture(wrong)


def test_a_video_is_refused_by_a_model_of_single_images():
    with pytest.raises(DataError, match=r"a message holds a video, but this model reads single images"):
        read_question([Video([FIRST, SECOND]), "?"])
    question = read_question([Video([FIRST, SECOND]), "<image>What?"], reads_series=True)
    assert [(moment.time, dict(moment.images)) for moment in question.images] == [("frame 1", {"rgb": FIRST}), ("frame 2", {"rgb": SECOND})]
    assert question.text == "What?"
    with pytest.raises(DataError, match="expected the path of a video, found int"):
        open_video(7, 4)


def test_stop_texts():
    assert until(" road\n\nQuestion: next", ["\n\n", "Question"]) == "road"
    assert until(" road ", []) == "road"


def test_a_folder_of_no_model_and_a_modality_of_no_model(tmp_path):
    with pytest.raises(CheckpointError, match="is not a converted model"):
        ChatModel(tmp_path)
    with pytest.raises(ConfigError, match=r"modalities \['thermal'\]: expected some of rgb, multispectral, sar"):
        ChatModel(tmp_path, modalities=["thermal"])


def test_many_pictures_are_a_series_for_a_model_that_reads_one():
    many = ["<image>", FIRST, "<image>", SECOND, FIRST, "What changed?"]
    question = read_question(many, reads_series=True)
    assert [moment.time for moment in question.images] == ["image 1", "image 2", "image 3"] and question.text == "What changed?"
    assert [dict(moment.images) for moment in question.images] == [{"rgb": FIRST}, {"rgb": SECOND}, {"rgb": FIRST}]
    with pytest.raises(DataError, match="a message has 3 pictures"):
        read_question(many)
    with pytest.raises(DataError, match="a message has 3 pictures"):
        read_question(["SAR:", *many], reads_series=True)
