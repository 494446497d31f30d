"""Transforms choose by the generator alone, drop nothing silently, and keep masks with their words."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from eocore.data.dataset import check_record
from eocore.data.records import Expression, ImageRef, MaskRef, Record
from eocore.data.transforms import ABSENT_ANSWERS, ANSWERS, QUESTIONS, ChooseModalities, ComposeReferring
from eocore.errors import ConfigError, DataError
from eocore.portable.messages import Seg, Text, read_turns
from eocore.registry import TRANSFORMS

SETTINGS = {"optical": ["multispectral"], "sar": ["sar"], "fused": ["sar", "multispectral"]}


def with_images(*roles: str) -> Record:
    images = tuple(ImageRef(role, "any", (f"{role}.tif",)) for role in roles)
    return Record("s", images, read_turns(["<image> What?", "A lake"]), source="f#0", meta={"cloudy": True})


def referring(*phrases: str, absent: tuple[str, ...] = ()) -> Record:
    expressions = [Expression(text, MaskRef("box", [0, 0, number + 1, 1])) for number, text in enumerate(phrases)]
    expressions += [Expression(text, None) for text in absent]
    return Record("s", (ImageRef("rgb", "rgb_uint8", ("a.png",)),), expressions=tuple(expressions), source="f#0", task="referring")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class TestChooseModalities:
    def test_settings_are_drawn_by_weight(self) -> None:
        choose = ChooseModalities(settings=SETTINGS, weights={"optical": 1, "sar": 1, "fused": 2})
        generator = rng()
        drawn = [choose(with_images("multispectral", "sar"), generator) for _ in range(2000)]
        counts = Counter(record.meta["setting"] for record in drawn)
        assert counts["fused"] / 2000 == pytest.approx(0.5, abs=0.04)
        assert counts["sar"] / 2000 == pytest.approx(0.25, abs=0.04)

    def test_the_setting_decides_the_images_and_keeps_their_order(self) -> None:
        chosen = ChooseModalities(settings={"fused": ["sar", "multispectral"]})(with_images("rgb", "sar", "multispectral"), rng())
        assert chosen.roles == ("sar", "multispectral")
        assert chosen.meta == {"cloudy": True, "setting": "fused"}

    def test_only_settings_the_record_can_fill_are_drawn(self) -> None:
        choose = ChooseModalities(settings=SETTINGS)
        generator = rng()
        assert {choose(with_images("multispectral"), generator).meta["setting"] for _ in range(50)} == {"optical"}

    def test_a_setting_of_weight_zero_is_never_drawn(self) -> None:
        choose = ChooseModalities(settings=SETTINGS, weights={"optical": 0, "sar": 1, "fused": 0})
        generator = rng()
        assert {choose(with_images("multispectral", "sar"), generator).meta["setting"] for _ in range(50)} == {"sar"}
        with pytest.raises(DataError, match=r"f#0: sample 's' has images for multispectral, but the settings need sar: sar\."):
            choose(with_images("multispectral"), generator)

    def test_a_record_no_setting_fits_is_an_error(self) -> None:
        with pytest.raises(
            DataError, match=r"has images for rgb, but the settings need optical: multispectral; sar: sar; fused: sar, multi"
        ):
            ChooseModalities(settings=SETTINGS)(with_images("rgb"), rng())

    @pytest.mark.parametrize(
        ("settings", "weights", "message"),
        [
            (
                {"optical": ["Infra red"]},
                None,
                r"setting 'optical' must list roles such as 'rgb' or 'sar', each once, found \['Infra red'\]",
            ),
            ({"optical": []}, None, r"setting 'optical' must list roles"),
            ({"optical": ["sar", "sar"]}, None, r"each once"),
            ({}, None, r"weights must give each of at least one setting a number"),
            (SETTINGS, {"optical": 1}, r"weights must give each of optical, sar, fused a number of at least 0"),
            (SETTINGS, {"optical": 1, "sar": -1, "fused": 1}, r"at least 0, not all 0; found \{'optical': 1, 'sar': -1"),
            (SETTINGS, {"optical": 0, "sar": 0, "fused": 0}, r"not all 0"),
            (SETTINGS, {"optical": 1, "sar": float("nan"), "fused": 1}, r"not all 0"),
        ],
    )
    def test_wrong_settings_are_named(self, settings: Any, weights: Any, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            ChooseModalities(settings=settings, weights=weights)


class TestComposeReferring:
    def test_each_mask_follows_its_phrase(self) -> None:
        record = referring("Lake", "Hill", "Road", absent=("Ship",))
        by_phrase = {expression.text.lower(): expression.mask for expression in record.expressions}
        for seed in range(20):
            made = ComposeReferring(num_expressions=4)(record, rng(seed))
            check_record(made)
            masks = iter(made.masks)
            for asked, answered in zip(made.turns[::2], made.turns[1::2], strict=True):
                phrase = next(phrase for phrase in by_phrase if phrase in asked.text)
                assert ("[SEG]" in answered.text) == (by_phrase[phrase] is not None)
                if "[SEG]" in answered.text:
                    assert next(masks) == by_phrase[phrase]
            assert [expression.text.lower() for expression in made.expressions] == [
                next(phrase for phrase in by_phrase if phrase in turn.text) for turn in made.turns[::2]
            ]

    def test_unique_draws_each_phrase_once_and_no_more_than_there_are(self) -> None:
        made = ComposeReferring(num_expressions=5)(referring("a1", "b2", "c3"), rng())
        assert sorted(expression.text for expression in made.expressions) == ["a1", "b2", "c3"]
        few = {ComposeReferring(num_expressions=1)(referring("a1", "b2", "c3"), rng(seed)).expressions[0].text for seed in range(30)}
        assert few == {"a1", "b2", "c3"}

    def test_the_published_recipe_draws_with_replacement(self) -> None:
        made = ComposeReferring(num_expressions=5, unique=False)(referring("a1", "b2"), rng())
        assert len(made.turns) == 10 and len(made.masks) == 5

    def test_a_place_is_told_where_it_is_known(self) -> None:
        record = referring("Lake", "Hill")
        record = replace(record, expressions=(replace(record.expressions[0], place="north"), record.expressions[1]))
        made = ComposeReferring(answers=["[SEG] {place} {phrase}"])(record, rng())
        assert {turn.text for turn in made.turns[1::2]} == {"[SEG] north lake", "[SEG] hill"}

    def test_the_image_stands_in_the_first_question_alone(self) -> None:
        made = ComposeReferring(templates=["Show {phrase}!"], answers=["[SEG]."])(referring("Lake", "Hill"), rng())
        assert made.turns[0].text.startswith("<image>\nShow ")
        assert made.turns[2].text.startswith("Show ")
        assert {turn.text for turn in made.turns[1::2]} == {"[SEG]."}

    def test_words_are_lowered_and_points_taken_off_by_option(self) -> None:
        record = referring("The U.S. Lake. ")
        plain = ComposeReferring(templates=["{phrase}"], prefix="<image>")
        kept = ComposeReferring(templates=["{phrase}"], prefix="<image>", lower=False, strip_period=False)
        assert plain(record, rng()).turns[0].text == "<image>the u.s. lake"
        assert kept(record, rng()).turns[0].text == "<image>The U.S. Lake."

    def test_the_published_evaluation_prompt(self) -> None:
        published = ComposeReferring(
            num_expressions=1, templates=[" Please segment {phrase} in this image."], lower=False, strip_period=False
        )
        assert published(referring("The Lake"), rng()).turns[0].text == "<image>\n Please segment The Lake in this image."

    def test_braces_in_a_phrase_are_plain_text(self) -> None:
        literal = ComposeReferring(num_expressions=1, answers=["{phrase}: [SEG]"])(referring("the [SEG] of <image> {place}"), rng())
        assert literal.turns[1].parts == (Text("the [seg] of <image> {place}: "), Seg(0))
        assert "{0} {phrase}" in ComposeReferring()(referring("{0} {phrase}"), rng()).turns[0].text

    def test_the_wording_varies_and_stays_within_the_lists(self) -> None:
        made = [ComposeReferring()(referring("lake", absent=("ship",)), rng(seed)) for seed in range(200)]
        asked = {turn.text.removeprefix("<image>\n") for record in made for turn in record.turns[::2]}
        answered = {turn.text for record in made for turn in record.turns[1::2]}
        assert asked == {template.replace("{phrase}", phrase) for template in QUESTIONS for phrase in ("lake", "ship")}
        assert answered == set(ANSWERS) | set(ABSENT_ANSWERS)

    def test_equal_generators_give_equal_conversations(self) -> None:
        record = referring("a1", "b2", "c3", "d4")
        assert ComposeReferring()(record, rng(5)) == ComposeReferring()(record, rng(5))
        assert ComposeReferring()(record, rng(5)) != ComposeReferring()(record, rng(6))

    def test_records_without_usable_phrases_are_errors(self) -> None:
        with pytest.raises(DataError, match=r"f#0: sample 's' has no referring expression"):
            ComposeReferring()(with_images("rgb"), rng())
        with pytest.raises(DataError, match=r"f#0: sample 's' has an empty phrase '\.'"):
            ComposeReferring()(referring("."), rng())

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"num_expressions": 0}, "num_expressions must be at least 1, found 0"),
            ({"templates": []}, r"templates must be a list of at least one text, found \[\]"),
            ({"templates": "Show {phrase}"}, r"templates is 'Show \{phrase\}' \(a text\); expected a list, each entry a text"),
            ({"templates": ["Show it"]}, r"each of templates must hold \{phrase\} 1 times"),
            ({"templates": ["<image> {phrase}"]}, r"and no <image> \(`prefix` holds it\)"),
            ({"answers": ["Sure."]}, r"each of answers must hold \[SEG\] 1 times"),
            ({"absent_answers": ["[SEG]"]}, r"each of absent_answers must hold \[SEG\] 0 times"),
            ({"prefix": ""}, r"prefix must hold <image> once, found ''"),
        ],
    )
    def test_wrong_texts_are_named(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            TRANSFORMS.build({"type": "ComposeReferring", **settings})
