"""Requests of any content: no error of the server, no trace to the client, nothing left behind."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from eocore_server import Server, start_server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eocore.serve.options import Limits, ServeOptions, WorkerOptions

EXAMPLES = int(os.environ.get("EOCORE_FUZZ_EXAMPLES", "240"))
MANY = 5000
NOT_HTTP = "Invalid HTTP request received."
"""What uvicorn itself answers to what is no HTTP, such as an unknown method."""
LIMITS = Limits(new_tokens=8, json_mib=1, upload_mib=1, requests_per_minute=10**6)
MEANT = {503, 504}
"""Of a lost worker and of a request that took too long; none is provoked here, and none is expected."""


@pytest.fixture(scope="module")
def server(masks_model: Path, vectors_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    uploads = tmp_path_factory.mktemp("uploads") / "files"
    options = ServeOptions(models=(masks_model, vectors_model), port=0, uploads=uploads, workers=WorkerOptions(threads=1), limits=LIMITS)
    with start_server(options) as found:
        yield found


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=120) as client:
        yield client


PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000080000000808020000004b6d29dc0000001249444154789c63601805a3601423638000000208000117b6e6a30000000049454e44ae426082"
    )
).decode()
words = st.text(max_size=20) | st.sampled_from(["masks", "vectors", "x", "[SEG]", "<image>", "../..", "\0", "<script>", "\ud800"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
urls = words | st.builds(
    "data:{};base64,{}".format, st.sampled_from(["image/png", "image/tiff", "application/zip", "x"]), st.just(PNG) | words
)
image_urls = st.fixed_dictionaries(
    {"url": urls}, optional={"role": words, "sensor": words | st.just("rgb_uint8"), "bands": st.lists(words, max_size=4)}
)
parts = st.fixed_dictionaries({"type": st.just("text"), "text": words}) | st.fixed_dictionaries(
    {"type": st.just("image_url"), "image_url": image_urls}
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": words | st.lists(parts | values, max_size=3)}
)
numbers = st.integers(-2, 10) | st.floats(-1, 3) | values
chats = st.fixed_dictionaries(
    {"model": st.just("masks") | words, "messages": st.lists(messages, max_size=3) | values},
    optional={name: numbers for name in ("max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "stream", "n", "tools")},
)
embeddings = st.fixed_dictionaries(
    {
        "model": st.just("vectors") | words,
        "input": words | st.lists(words | st.fixed_dictionaries({"image_url": image_urls}), max_size=3) | values,
    },
    optional={"encoding_format": st.sampled_from(["float", "base64"]) | values, "dimensions": values},
)
paths = st.sampled_from(
    ["/v1/chat/completions", "/v1/embeddings", "/v1/segment", "/v1/models", "/docs", "/", "/v1/models/x", "/openapi.json"]
)
json_requests = (
    st.tuples(st.just("/v1/chat/completions"), chats) | st.tuples(st.just("/v1/embeddings"), embeddings) | st.tuples(paths, values)
)
forms = st.lists(
    st.tuples(st.sampled_from(["model", "prompt", "format", "sensor", "max_tokens", "x"]), words | st.sampled_from(["masks", "geotiff"])),
    max_size=5,
)
files = st.lists(
    st.tuples(
        st.sampled_from(["image", "rgb", "sar", "prompt"]), st.tuples(words, st.binary(max_size=60) | st.just(base64.b64decode(PNG)))
    ),
    max_size=2,
)
raw_headers = st.dictionaries(
    st.sampled_from(
        ["content-type", "authorization", "origin", "cookie", "range", "x-forwarded-for", "accept", "transfer-encoding", "expect"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
    | st.sampled_from(["application/json", "multipart/form-data; boundary=x", "multipart/form-data", "bytes=0-"]),
    max_size=3,
)


def check(answer: httpx.Response) -> None:
    if answer.text == NOT_HTTP:
        return
    assert answer.status_code < 500 or answer.status_code in MEANT, (answer.request.url, answer.status_code, answer.text[:500])
    assert "Traceback" not in answer.text and "site-packages" not in answer.text and "/eocore/" not in answer.text
    assert "content-security-policy" in answer.headers
    if answer.status_code >= 400:
        assert set(answer.json()) == {"error"} and answer.json()["error"]["message"]


def send_json(http: httpx.Client, path: str, body: Any) -> None:
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    check(http.post(path, content=content, headers={"content-type": "application/json"}))


def send_form(http: httpx.Client, fields: list[tuple[str, str]], sent: list[tuple[str, tuple[str, bytes]]]) -> None:
    plain = {name: text.encode("utf-8", "replace").decode() for name, text in fields}
    named = [(name, (label.encode("utf-8", "replace").decode() or "x", content)) for name, (label, content) in sent]
    check(http.post("/v1/segment", data=plain, files=named or None))


def send_raw(http: httpx.Client, method: str, path: str, headers: dict[str, str], content: bytes) -> None:
    if "transfer-encoding" in headers or "expect" in headers:
        headers = {name: value for name, value in headers.items() if name not in ("transfer-encoding", "expect")}
    answer = http.request(method, path, headers=headers, content=content)
    if method != "HEAD":
        check(answer)


methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "X"])
texts = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"), max_size=30)
raw_paths = paths | st.builds("/{}".format, texts) | st.builds("/v1/{}".format, texts)


def fuzz(http: httpx.Client, examples: int) -> None:
    """As many requests of each of three kinds, in thirds."""
    chosen = settings(max_examples=examples // 3, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))

    @chosen
    @given(json_requests)
    def of_json(asked: tuple[str, Any]) -> None:
        send_json(http, *asked)

    @chosen
    @given(forms, files)
    def of_forms(fields: Any, sent: Any) -> None:
        send_form(http, fields, sent)

    @chosen
    @given(methods, raw_paths, raw_headers, st.binary(max_size=50))
    def of_bytes(method: str, path: str, headers: Any, content: bytes) -> None:
        send_raw(http, method, path, headers, content)

    of_json()
    of_forms()
    of_bytes()


def check_goes_on(server: Server, http: httpx.Client) -> None:
    assert http.post("/v1/embeddings", json={"model": "vectors", "input": "water"}).status_code == 200
    body = {"model": "masks", "messages": [{"role": "user", "content": "segment"}]}
    assert http.post("/v1/chat/completions", json=body).status_code == 200
    left = [path for path in server.service.options.uploads.rglob("*") if path.is_file() and path.name not in (".eocore_uploads", ".lock")]
    assert not left


def test_requests_of_any_content(server: Server, http: httpx.Client) -> None:
    fuzz(http, EXAMPLES)
    check_goes_on(server, http)


@pytest.mark.slow
def test_many_requests_of_any_content(server: Server, http: httpx.Client) -> None:
    fuzz(http, MANY)
    check_goes_on(server, http)
