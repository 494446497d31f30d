import base64
import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import rasterio
from eocore_server import Server, start_server
from PIL import Image

from eocore.data.io.masks import decode_mask
from eocore.data.records import MaskRef
from eocore.serve.options import Limits, ServeOptions, WorkerOptions

LONG = 400


@pytest.fixture(scope="module")
def server(words_model: Path, masks_model: Path, vectors_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ServeOptions(
        models=(words_model, masks_model, vectors_model),
        port=0,
        uploads=tmp_path_factory.mktemp("uploads") / "files",
        workers=WorkerOptions(threads=1),
        limits=Limits(new_tokens=LONG, json_mib=8, upload_mib=16),
    )
    with start_server(options) as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0, timeout=120)


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=120) as client:
        yield client


def data_url(path: Path, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


@pytest.fixture(scope="module")
def question(sent_images: Path) -> list[Any]:
    image = {"type": "image_url", "image_url": {"url": data_url(sent_images / "scene.png")}}
    return [{"role": "user", "content": [{"type": "text", "text": "what is here?"}, image]}]


def files_left(server: Server) -> list[Path]:
    return [path for path in server.service.options.uploads.rglob("*") if path.is_file() and path.name not in (".eocore_uploads", ".lock")]


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["words", "masks", "vectors"]
    one: Any = client.models.retrieve("masks")
    assert one.draws_masks and one.system == "earthmind" and "generates" in one.protocols
    with pytest.raises(openai.BadRequestError, match="no model 'nope'"):
        client.models.retrieve("nope")


def test_chat_with_an_image(client: openai.OpenAI, server: Server, question: list[Any]) -> None:
    answer = client.chat.completions.create(model="words", messages=question, max_tokens=12)
    assert answer.choices[0].finish_reason == "length" and answer.choices[0].message.content
    assert answer.usage is not None and answer.usage.completion_tokens == 12
    without = client.chat.completions.create(model="words", messages=[{"role": "user", "content": "what is here?"}], max_tokens=12)
    assert without.usage is not None and without.usage.prompt_tokens < answer.usage.prompt_tokens
    assert not files_left(server)


def test_a_stream_says_the_same_in_pieces(client: openai.OpenAI, server: Server, question: list[Any]) -> None:
    whole = client.chat.completions.create(model="words", messages=question, max_tokens=40)
    stream = client.chat.completions.create(
        model="words", messages=question, max_tokens=40, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(texts) > 1 and "".join(texts).strip() == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert not files_left(server)


def test_several_rounds_and_a_system_message(client: openai.OpenAI, question: list[Any]) -> None:
    rounds = [*question, {"role": "assistant", "content": "a field"}, {"role": "user", "content": "and what else?"}]
    longer = client.chat.completions.create(model="words", messages=rounds, max_tokens=4)
    alone = client.chat.completions.create(model="words", messages=question, max_tokens=4)
    assert longer.usage is not None and alone.usage is not None
    assert longer.usage.prompt_tokens > alone.usage.prompt_tokens


def test_masks_come_beside_the_text(client: openai.OpenAI, sent_images: Path) -> None:
    image: Any = {"type": "image_url", "image_url": {"url": data_url(sent_images / "place.tif", "image/tiff")}}
    messages: Any = [{"role": "user", "content": [{"type": "text", "text": "segment the water"}, image]}]
    answer: Any = client.chat.completions.create(model="masks", messages=messages)
    assert "[SEG]" not in (answer.choices[0].message.content or "")
    (mask,) = answer.choices[0].message.masks
    assert mask["size"] == [48, 64] and mask["image"] == "rgb" and mask["transform"][2] == 500_000
    drawn = decode_mask(MaskRef("rle", {"size": mask["size"], "counts": mask["counts"]}), (48, 64), source="answer")
    assert 0 < drawn.sum() < drawn.size
    streamed: Any = list(client.chat.completions.create(model="masks", messages=messages, stream=True))
    assert [chunk.choices[0].delta.masks for chunk in streamed if hasattr(chunk.choices[0].delta, "masks")] == [[mask]]


def test_sampling_options_are_used(client: openai.OpenAI, question: list[Any]) -> None:
    def ask(**options: Any) -> str | None:
        made = client.chat.completions.create(model="words", messages=question, max_tokens=20, **options)
        return made.choices[0].message.content

    assert ask() == ask(temperature=0) == ask(n=1, presence_penalty=0)
    assert ask(temperature=2, seed=1) == ask(temperature=2, seed=1) != ask(temperature=2, seed=2)
    whole = ask() or ""
    assert ask(stop=whole[4:6]) == whole[: whole.index(whole[4:6])].strip()


def test_vectors_of_texts_and_images(client: openai.OpenAI, http: httpx.Client, sent_images: Path) -> None:
    found = client.embeddings.create(model="vectors", input=["water", "a forest"])  # base64, as the client asks by itself
    plain = client.embeddings.create(model="vectors", input=["water", "a forest"], encoding_format="float")
    for one, other in zip(found.data, plain.data, strict=True):
        np.testing.assert_allclose(one.embedding, other.embedding, rtol=1e-6)
    image = {"type": "image_url", "image_url": {"url": data_url(sent_images / "scene.png")}}
    mixed = http.post("/v1/embeddings", json={"model": "vectors", "input": [image, "water"]}).json()
    assert [each["index"] for each in mixed["data"]] == [0, 1] and len(mixed["data"][0]["embedding"]) == 16
    np.testing.assert_allclose(mixed["data"][1]["embedding"], plain.data[0].embedding, rtol=1e-5)


def test_segment_gives_polygons(http: httpx.Client, sent_images: Path) -> None:
    sent = {"image": ("place.tif", (sent_images / "place.tif").read_bytes(), "image/tiff")}
    answer = http.post("/v1/segment", data={"model": "masks", "prompt": "the water"}, files=sent)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/geo+json"
    (feature,) = answer.json()["features"]
    assert feature["geometry"]["type"] in ("MultiPolygon", "Polygon")
    assert feature["properties"]["area_m2"] == pytest.approx(feature["properties"]["pixels"] * 100, rel=0.01)  # 10 m pixels, UTM
    longitude, latitude = np.array(feature["geometry"]["coordinates"][0][0]).reshape(-1, 2)[0]
    assert 14.9 < longitude < 15.1 and 48.6 < latitude < 48.8


def test_segment_gives_a_geotiff_on_the_pixels_of_the_image(http: httpx.Client, sent_images: Path) -> None:
    sent = {"image": ("place.tif", (sent_images / "place.tif").read_bytes(), "image/tiff")}
    polygons = http.post("/v1/segment", data={"model": "masks", "prompt": "the water"}, files=sent).json()
    answer = http.post("/v1/segment", data={"model": "masks", "prompt": "the water", "format": "geotiff"}, files=sent)
    with rasterio.open(io.BytesIO(answer.content)) as raster, rasterio.open(sent_images / "place.tif") as image:
        assert (raster.crs, raster.transform, raster.shape) == (image.crs, image.transform, image.shape)
        assert raster.read(1).sum() == polygons["features"][0]["properties"]["pixels"]


def test_segment_of_a_picture_without_a_place(http: httpx.Client, sent_images: Path) -> None:
    sent = {"image": ("scene.png", (sent_images / "scene.png").read_bytes(), "image/png")}
    answer = http.post("/v1/segment", data={"model": "masks", "prompt": "the water"}, files=sent)
    assert answer.status_code == 400 and "does not say where it lies" in answer.json()["error"]["message"]
    raster = http.post("/v1/segment", data={"model": "masks", "prompt": "the water", "format": "geotiff"}, files=sent)
    assert raster.status_code == 200 and raster.content[:2] in (b"II", b"MM")


def image_at(url: str, **more: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url, **more}}]}]}


@pytest.mark.parametrize(
    ("change", "words", "code"),
    [
        ({"tools": []}, "'tools' is not supported", "unsupported_parameter"),
        ({"n": 2}, "n: Input should be 1", "invalid_value"),
        ({"logprobs": True}, "logprobs", "invalid_value"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"top_p": 0.5}, "needs a temperature above 0", "ConfigError"),
        ({"max_tokens": LONG + 1}, f"1 to {LONG}", "ConfigError"),
        ({"model": "vectors"}, "does not answer in text", "ConfigError"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "user and assistant in turn", "ConfigError"),
        (image_at("http://1.2.3.4/a.png"), "Nothing is fetched", "DataError"),
        (image_at("data:image/png;base64,AAAA", time="2021-03-04"), "image_url.time' is not supported", "unsupported_parameter"),
        ({"messages": [{"role": "user", "content": [{"type": "video_url"}]}]}, "'video_url'", "invalid_value"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages.0.content.str: Input should be a valid string", "invalid_value"),
        ({"a[": 1}, "'a[' is not supported", "unsupported_parameter"),
        (image_at("file:///etc/passwd"), "Nothing is fetched", "DataError"),
        (image_at("data:image/png;base64,@@"), "base64", "DataError"),
        (image_at("data:text/html;base64,AAAA"), "not read", "DataError"),
        (image_at("data:image/png;base64,AAAA"), "none of these", "DataError"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_asked_is_refused_as_the_api_does(
    http: httpx.Client, server: Server, question: list[Any], stream: bool, change: dict[str, Any], words: str, code: str
) -> None:
    body = {"model": "words", "messages": question, "stream": stream, **change}
    answer = http.post("/v1/chat/completions", json=body)
    error = answer.json()["error"]
    assert answer.status_code == 400 and words in error["message"] and error["code"] == code
    assert error["type"] == "invalid_request_error" and str(server.service.options.uploads) not in answer.text
    assert not files_left(server)


def test_the_client_sees_its_own_errors(client: openai.OpenAI, question: list[Any]) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="words", messages=question, temperature=1.5, tools=[])
    assert caught.value.param == "tools"
    with pytest.raises(openai.BadRequestError, match="no model"):
        client.embeddings.create(model="nope", input="x")


def test_a_bomb_of_80_megapixels_is_refused_unread(http: httpx.Client, server: Server) -> None:
    content = io.BytesIO()
    Image.new("1", (10_000, 8_000)).save(content, "PNG")
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"}}
    body = {"model": "words", "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, image]}]}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400 and "64000000 px" in answer.json()["error"]["message"]
    assert not files_left(server)


def test_bodies_have_limits(http: httpx.Client) -> None:
    text = "x" * (9 * 1024**2)
    for body in ({"json": {"model": text}}, {"content": iter([text.encode()]), "headers": {"content-type": "application/json"}}):
        answer = http.post("/v1/chat/completions", **body)
        assert answer.status_code == 413 and "8 MiB" in answer.json()["error"]["message"]
    answer = http.post("/v1/segment", data={"model": "masks", "prompt": "x"}, files={"image": ("a.tif", b"II*\0" + bytes(17 * 1024**2))})
    assert answer.status_code == 413


def test_addresses_that_are_not_there(http: httpx.Client) -> None:
    for path in ("/v1/files", "/v1/../../etc/passwd", "/v1/models/%2e%2e", "/file=/etc/passwd", "/static/../app.py"):
        answer = http.get(path)
        assert answer.status_code in (400, 404) and set(answer.json()) == {"error"}
    assert http.get("/v1/chat/completions").status_code == 405


def test_the_description_needs_nothing_from_elsewhere(http: httpx.Client) -> None:
    page = http.get("/docs")
    assert page.status_code == 200 and "<script" not in page.text and "http://" not in page.text.replace("https://", "")
    assert "/v1/segment" in page.text and "<script" not in page.text
    schema = http.get("/openapi.json").json()
    assert {"/v1/models", "/v1/chat/completions", "/v1/embeddings", "/v1/segment"} <= set(schema["paths"])


def test_a_client_that_leaves_ends_the_work(server: Server, http: httpx.Client, question: list[Any]) -> None:
    body = {"model": "words", "messages": question, "max_tokens": LONG}
    with httpx.stream("POST", f"{server.address}/v1/chat/completions", json={**body, "stream": True}, timeout=60) as answer:
        next(answer.iter_lines())
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.address}/v1/chat/completions", json=body, timeout=httpx.Timeout(60, read=0.05))
    end = time.monotonic() + 60
    while server.service._pools["words"]._asked or files_left(server):
        assert time.monotonic() < end, "the work goes on"
        time.sleep(0.05)


def test_many_at_once_get_their_own_answers(client: openai.OpenAI, server: Server, tmp_path: Path) -> None:
    def ask(number: int) -> str | None:
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        image: Any = {"type": "image_url", "image_url": {"url": data_url(tmp_path / f"{number}.png")}}
        message: Any = {"role": "user", "content": [{"type": "text", "text": "what?"}, image]}
        return client.chat.completions.create(model="words", messages=[message], max_tokens=10).choices[0].message.content

    alone = [ask(number) for number in range(8)]
    together: dict[int, str | None] = {}
    threads = [threading.Thread(target=lambda number=number: together.update({number: ask(number)})) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(8)] == alone


def test_a_killed_worker_is_an_error_of_the_api_and_the_next_request_succeeds(
    client: openai.OpenAI, server: Server, question: list[Any]
) -> None:
    stream = client.chat.completions.create(model="words", messages=question, max_tokens=LONG, stream=True)
    next(iter(stream))
    (worker,) = server.service.worker_pids("words")
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(openai.APIError, match="Ask again"):
        list(stream)
    assert client.chat.completions.create(model="words", messages=question, max_tokens=4).choices[0].message.content
