import pytest

from eocore.errors import ConfigError
from eocore.evaluate.external.field_names import find_fields, parse_map


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (["question", "answer", "annotation", "vqa_type"], "prediction=answer truth=annotation type=vqa_type prompt=question"),
        (
            ["question_id", "image_id", "answer", "ground_truth"],
            "sample_id=question_id prediction=answer truth=ground_truth image=image_id",
        ),
        (["image_id", "pred", "ground_truth", "type"], "prediction=pred truth=ground_truth type=type image=image_id"),
        (["image", "id", "question", "answer", "pred"], "sample_id=id prediction=pred truth=answer image=image prompt=question"),
        (["answer", "caption0", "caption10", "caption2"], "prediction=answer references=caption0,caption2,caption10"),
        (["prediction", "references"], "prediction=prediction references=references"),
    ],
    ids=["EarthDial", "GeoChat", "EarthMind-Bench", "EarthMind multispectral", "EarthDial captions", "plain"],
)
def test_published_files_are_understood(fields, found):
    assert find_fields(fields, {}, source="f").describe() == found


def test_what_the_user_says_wins():
    given = parse_map(["prediction=text", "truth=answer", "references=a,b", "sample_id=-"])
    found = find_fields(["text", "answer", "a", "b", "id"], given, source="f")
    assert found.describe() == "prediction=text truth=answer references=a,b"


@pytest.mark.parametrize("word", ["prediction", "guess=answer", "prediction="])
def test_wrong_words(word):
    with pytest.raises(ConfigError, match=r"--map .*: expected NAME=FIELD, NAME one of sample_id, prediction"):
        parse_map([word])


def test_a_field_that_is_not_there():
    with pytest.raises(ConfigError, match=r"f: --map names the field 'said', which is not there; the file has answer, truth"):
        find_fields(["answer", "truth"], {"prediction": "said"}, source="f")


@pytest.mark.parametrize(
    ("fields", "lost"), [(["a", "annotation"], "prediction"), (["answer"], "truth"), (["a"], "prediction and the truth")]
)
def test_fields_that_cannot_be_told(fields, lost):
    with pytest.raises(ConfigError, match=rf"f: which field is the {lost} cannot be told; the file has {fields[0]}"):
        find_fields(fields, {}, source="f")
