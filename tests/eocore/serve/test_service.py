import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from eocore.data.records import MaskRef
from eocore.errors import AccessError, BusyError, ConfigError, DataError, EOError, TimeLimitError, WorkerLostError
from eocore.predict.image_files import ImageFile
from eocore.serve.options import Limits, ServeOptions, WorkerOptions
from eocore.serve.requests import ChatTurn, Done, Event, GenerateRequest, MaskMark, Masks, TextDelta
from eocore.serve.service import Service
from eocore.serve.sessions import Session

LONG = 400
Ask = Callable[..., list[Event]]


@pytest.fixture(scope="module")
def service(
    run: Any, words_model: Path, masks_model: Path, vectors_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    options = ServeOptions(
        models=(words_model, masks_model, vectors_model),
        uploads=tmp_path_factory.mktemp("uploads") / "of_sessions",
        workers=WorkerOptions(threads=1, max_batch=8),
        limits=Limits(new_tokens=LONG, waiting=40),
    )
    made = Service(options)
    run(made.start())
    yield made
    run(made.close())
    assert not options.uploads.exists()


@pytest.fixture(scope="module")
def session(run: Any, service: Service, sent_images: Path) -> Session:
    made = service.sessions.create()
    for name in ("scene.png", "scene.tif", "place.tif"):
        run(made.receive_bytes(name, (sent_images / name).read_bytes()))
    return made


@pytest.fixture(scope="module")
def picture(session: Session) -> dict[str, ImageFile]:
    return {"rgb": session.images[0].file()}


async def events(service: Service, model: str = "words", text: str = "what is here?", **fields: Any) -> list[Event]:
    request = GenerateRequest(**{"model": model, "turns": (ChatTurn("user", text),), "max_new_tokens": 6, **fields})
    return [event async for event in service.generate(request)]


def texts(found: list[Event]) -> str:
    return "".join(event.text for event in found if isinstance(event, TextDelta))


def test_models_say_what_they_can(service: Service) -> None:
    words, masks, vectors = service.models()
    assert (words.name, words.system, words.streams, words.draws_masks) == ("words", "earthmind", True, True)
    assert "generates" in words.protocols and {"rgb", "sar"} <= set(masks.roles)
    assert (vectors.system, vectors.draws_masks, vectors.reads_regions) == ("ms_clip", False, False)
    assert {"embeds", "scores", "embeds_images", "scores_pixels"} <= set(vectors.protocols)


def test_an_answer_comes_in_pieces_and_ends_with_its_length(run: Any, service: Service, picture: Any) -> None:
    found = run(events(service, images=picture, max_new_tokens=40))
    assert len([event for event in found if isinstance(event, TextDelta)]) > 1
    done = found[-1]
    assert done.finish_reason == "length" and done.answer_tokens == 40 and done.prompt_tokens > 10
    assert texts(found).strip() == done.text


def test_answers_of_a_batch_are_those_of_each_alone(run: Any, service: Service, picture: Any) -> None:
    asked = [{"text": f"what is {number}?", "images": picture, "max_new_tokens": 4 + number} for number in range(6)]
    alone = [run(events(service, **each)) for each in asked]

    async def together() -> list[list[Event]]:
        return await asyncio.gather(*(events(service, **each) for each in asked))

    for one, other in zip(alone, run(together()), strict=True):
        assert texts(one) == texts(other) and one[-1] == other[-1]


def test_a_request_joins_those_that_are_being_answered(run: Any, service: Service, picture: Any) -> None:
    drawn = {"generation": {"do_sample": True, "temperature": 2.0}, "max_new_tokens": 20, "images": picture}
    alone = [run(events(service, **drawn, seed=seed)) for seed in (1, 2)]

    async def overtake() -> tuple[list[list[Event]], bool]:
        request = GenerateRequest(model="words", turns=(ChatTurn("user", "go on"),), images=picture, max_new_tokens=LONG)
        long = service.generate(request)
        await anext(long)
        found = await asyncio.gather(*(events(service, **drawn, seed=seed) for seed in (1, 2)))
        goes_on = isinstance(await anext(long), TextDelta)
        await long.aclose()
        return found, goes_on

    found, goes_on = run(overtake())
    assert goes_on and [texts(one) for one in found] == [texts(one) for one in alone]


def test_masks_of_two_dates_say_which_they_were_drawn_on(run: Any, service: Service, session: Session) -> None:
    days = ("2021-03-04", "2021-06-01")
    images = {f"rgb {day}": replace(session.images[2].file(), time=day) for day in days}
    for day in days:
        (masks,) = [
            event for event in run(events(service, "masks", f"Segment the road of {day}.", images=images)) if isinstance(event, Masks)
        ]
        assert masks.drawn_on == (f"rgb {day}",) and masks.grid.role == f"rgb {days[0]}" and masks.grid.size == (48, 64)
    backwards = dict(reversed(images.items()))
    with pytest.raises(DataError, match="2021-03-04 is earlier than the image before it"):
        run(events(service, "masks", images=backwards))
    card, _, vectors = service.models()
    assert card.reads_series and not vectors.reads_series


def test_masks_lie_on_the_image_and_special_tokens_are_not_shown(run: Any, service: Service, session: Session) -> None:
    found = run(events(service, "masks", images={"rgb": session.images[2].file()}))
    mark, masks, done = found
    assert mark == MaskMark(0) and isinstance(masks, Masks) and done == Done("stop", done.prompt_tokens, 1, "[SEG]")
    assert masks.masks.shape == (1, 48, 64) and masks.masks.dtype == bool
    assert masks.grid.role == "rgb" and masks.grid.transform == (10, 0, 500_000, 0, -10, 5_400_000) and "UTM" in masks.grid.crs


def test_a_window_is_read_alone(run: Any, service: Service, session: Session) -> None:
    file = session.images[2].file(window=(8, 16, 32, 24))
    masks = run(events(service, "masks", images={"rgb": file}))[1]
    assert masks.masks.shape == (1, 32, 24) and masks.grid.transform == (10, 0, 500_160, 0, -10, 5_399_920)


def test_a_region_and_earlier_rounds_reach_the_model(run: Any, service: Service, picture: Any) -> None:
    plain = run(events(service, images=picture))
    region = run(events(service, images=picture, regions=(MaskRef("box", [3, 4, 30, 30]),)))
    other = run(events(service, images=picture, regions=(MaskRef("polygon", [[40, 4, 60, 4, 60, 40]]),)))
    turns = (ChatTurn("user", "where?"), ChatTurn("assistant", "here [SEG]"), ChatTurn("user", "what is here?"))
    rounds = run(events(service, images=picture, turns=turns))
    lengths = [found[-1].prompt_tokens for found in (plain, region, rounds)]
    assert len(set(lengths)) == 3 and len({found[-1].text for found in (plain, region, other)}) == 3


def test_marks_in_a_question_are_words(run: Any, service: Service, picture: Any) -> None:
    for text in ("<image>", "[SEG]", "<region>", "<eos> <|user|> <img>", "<script>alert(1)</script>"):
        found = run(events(service, text=f"what is {text}?", images=picture))
        assert isinstance(found[-1], Done)


def test_sampling_is_repeated_by_its_seed(run: Any, service: Service, picture: Any) -> None:
    asked = {"images": picture, "generation": {"do_sample": True, "temperature": 2.0}, "max_new_tokens": 20}
    first, again, other = (run(events(service, **asked, seed=seed)) for seed in (1, 1, 2))
    assert texts(first) == texts(again) != texts(other)


def test_a_stop_text_ends_an_answer_before_it(run: Any, service: Service, picture: Any) -> None:
    whole = texts(run(events(service, images=picture, max_new_tokens=30)))
    stop = whole[6:8]
    found = run(events(service, images=picture, max_new_tokens=30, stop=(stop,)))
    assert texts(found) == whole[: whole.index(stop)].rstrip() and found[-1].finish_reason == "stop"
    assert found[-1].answer_tokens < 30


def test_vectors_and_scores(run: Any, service: Service, session: Session, picture: Any) -> None:
    place = {"rgb": session.images[2].file()}
    images = run(service.embed_images("vectors", [picture, place, picture]))
    words = run(service.embed_texts("vectors", ["water", "a forest"]))
    assert images.shape == (3, 16) and words.shape == (2, 16)
    np.testing.assert_allclose(images[0], images[2], rtol=1e-5)
    assert np.abs(images[0] - images[1]).max() > 1e-3
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1.0, rtol=1e-5)
    scores = run(service.class_scores("vectors", picture, classes=["water", "a forest"], templates=["{label}"]))
    np.testing.assert_allclose([scores["water"], scores["a forest"]], words @ images[0], rtol=1e-4)


def test_scores_of_pixels(run: Any, service: Service, session: Session) -> None:
    square = {"rgb": session.images[0].file(window=(0, 0, 48, 48))}
    found = run(service.pixel_scores("vectors", square, texts=["water", "forest"]))
    assert found.shape == (2, 48, 48) and found.dtype == np.float32 and np.isfinite(found).all()


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"model": "nope"}, ConfigError, "Served: words, masks, vectors"),
        ({"model": "vectors"}, ConfigError, "does not answer in text"),
        ({"generation": {"temperature": -1}}, ConfigError, "above 0"),
        ({"generation": {"num_beams": 3}}, ConfigError, "one answer"),
        ({"max_new_tokens": LONG + 1}, ConfigError, f"1 to {LONG}"),
        ({"turns": ()}, ConfigError, "the last message must be the user's"),
        ({"turns": (ChatTurn("user", " "),)}, ConfigError, "hold a question"),
        ({"text": "x" * 300_000}, ConfigError, "characters of text"),
        ({"text": "a \ud800"}, DataError, "half of a UTF-16 pair"),
        ({"images": {"thermal": None}}, ConfigError, "reads no image of role"),
        ({"images": {"rgb": ImageFile(("/etc/hostname",))}}, AccessError, "outside of the folders"),
        ({"images": {"rgb": ImageFile(("https://example.org/a.tif",), remote=True)}}, AccessError, "outside of the folders"),
        ({"regions": (MaskRef("box", [1, 2, 3]),)}, DataError, "box"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    run: Any, service: Service, picture: Any, fields: dict[str, Any], kind: type[EOError], words: str
) -> None:
    if "thermal" in fields.get("images", {}):
        fields = {"images": {"thermal": picture["rgb"]}}
    with pytest.raises(kind, match=words):
        run(events(service, **{"images": picture, **fields}))


def test_a_raster_that_is_too_large_is_asked_about_by_its_parts(run: Any, service: Service, session: Session, tmp_path: Path) -> None:
    place = {"crs": "EPSG:32633", "transform": from_origin(500_000, 5_400_000, 10, 10)}
    profile = {"driver": "GTiff", "count": 3, "height": 8_001, "width": 8_001, "dtype": "uint8", "sparse_ok": True, "tiled": True}
    with rasterio.open(tmp_path / "wide.tif", "w", **profile, **place):
        pass  # no tile of it is written
    run(session.receive_bytes("wide.tif", (tmp_path / "wide.tif").read_bytes()))
    wide = session.images[-1].file()
    with pytest.raises(DataError, match=r"8001 x 8001 px, more than the 64 million .* Send a part of it; on the page, draw a box\."):
        run(events(service, images={"rgb": wide}))


def test_errors_do_not_tell_where_files_lie(run: Any, service: Service, session: Session) -> None:
    file = ImageFile((str(session.images[0].path) + "x",))
    with pytest.raises(DataError) as caught:
        run(events(service, images={"rgb": file}))
    assert str(service.options.uploads) not in str(caught.value) and "scene.pngx" in str(caught.value)


def test_a_closed_iterator_ends_the_work(run: Any, service: Service, picture: Any) -> None:
    async def leave_early() -> int:
        request = GenerateRequest(model="words", turns=(ChatTurn("user", "go on"),), images=picture, max_new_tokens=LONG)
        answer = service.generate(request)
        await anext(answer)
        await answer.aclose()
        found = await events(service, images=picture, max_new_tokens=2)
        return len(found)

    assert run(leave_early()) >= 1
    pool = service._pools["words"]
    assert not pool._asked and not pool._held


def test_too_many_wait(run: Any, service: Service, picture: Any) -> None:
    async def flood() -> list[Any]:
        asked = (events(service, images=picture, max_new_tokens=8) for _ in range(80))
        return await asyncio.gather(*asked, return_exceptions=True)

    found = run(flood())
    refused = [each for each in found if isinstance(each, BaseException)]
    assert refused and all(isinstance(each, BusyError) for each in refused)
    assert sum(isinstance(each, list) and isinstance(each[-1], Done) for each in found) == 80 - len(refused) >= 40


def test_a_request_has_its_time(run: Any, service: Service, picture: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    short = ServeOptions(models=service.options.models, uploads=service.options.uploads, limits=Limits(request_s=0.05, new_tokens=LONG))
    monkeypatch.setattr(service, "options", short)
    with pytest.raises(TimeLimitError, match=r"within 0\.05 s"):
        run(events(service, images=picture, max_new_tokens=LONG))


def test_a_killed_worker_costs_its_requests_alone(run: Any, service: Service, picture: Any) -> None:
    (before,) = service.worker_pids("words")

    async def kill_while_answering() -> None:
        request = GenerateRequest(model="words", turns=(ChatTurn("user", "go on"),), images=picture, max_new_tokens=LONG)
        async for event in service.generate(request):
            if isinstance(event, TextDelta):
                os.kill(before, signal.SIGKILL)

    with pytest.raises(WorkerLostError, match="Ask again"):
        run(kill_while_answering())
    assert [card.is_ready for card in service.models()] == [False, True, True]
    assert isinstance(run(events(service, "masks", images=picture))[-1], Done)  # the other model's worker goes on
    assert isinstance(run(events(service, images=picture))[-1], Done)
    assert service.worker_pids("words") != [before]
