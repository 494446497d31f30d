from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from eocore.serve.access.accounts import Accounts
from eocore.serve.access.gate import API_POLICY, COOKIE, Gate, GateOptions, Logins
from eocore.serve.access.login import add_login
from eocore.serve.api.errors import add_handlers
from eocore.serve.options import Limits

PASSWORD = "correct horse"
LIMITS = Limits(requests_per_minute=8, logins_per_minute=4, json_mib=1)


@pytest.fixture(scope="module")
def accounts() -> Accounts:
    made = Accounts()
    made.add_user("ada", PASSWORD)
    return made


def behind_gate(accounts: Accounts | None) -> TestClient:
    app, logins = FastAPI(), Logins()
    add_handlers(app)

    @app.get("/")
    async def page() -> str:
        return "page"

    @app.post("/v1/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.get("/v1/broken")
    async def broken() -> None:
        raise ValueError("a secret of the server")

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("open")
        await websocket.close()

    if accounts is not None:
        add_login(app, accounts, logins=logins)
    gate = Gate(app, GateOptions(accounts=accounts, limits=LIMITS, policies={"/v1": API_POLICY}), logins=logins)
    return TestClient(gate, base_url="http://localhost:8000", follow_redirects=False, raise_server_exceptions=False)


@pytest.fixture
def opened() -> Iterator[TestClient]:
    with behind_gate(None) as client:
        yield client


@pytest.fixture
def guarded(accounts: Accounts) -> Iterator[TestClient]:
    with behind_gate(accounts) as client:
        yield client


def log_in(client: TestClient, password: str = PASSWORD) -> Any:
    return client.post("/login", data={"name": "ada", "password": password})


def test_every_answer_has_its_headers(opened: TestClient) -> None:
    for path, policy in (("/", "frame-ancestors 'none'"), ("/v1/echo", "default-src 'none'"), ("/nothing", "default-src 'none'")):
        headers = opened.get(path).headers
        assert policy in headers["content-security-policy"] and "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer" and "server" not in headers
    assert opened.get("/v1/echo").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::2]:8000"])
def test_a_name_that_leads_here_from_elsewhere_is_refused(opened: TestClient, host: str) -> None:
    answer = opened.get("/", headers={"host": host})
    assert answer.status_code == 400 and "not called by this name" in answer.json()["error"]["message"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:8000"])
def test_names_of_this_machine_are_taken(opened: TestClient, host: str) -> None:
    assert opened.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:9", "null"])
def test_a_page_of_another_site_may_not_ask(opened: TestClient, origin: str) -> None:
    assert opened.post("/v1/echo", content=b"x", headers={"origin": origin}).status_code == 403
    with pytest.raises(WebSocketDisconnect), opened.websocket_connect("ws://localhost:8000/socket", headers={"origin": origin}):
        pass
    assert opened.post("/v1/echo", content=b"x", headers={"origin": "http://localhost:8000"}).status_code == 200


def test_a_fault_of_the_server_tells_nothing_of_it(opened: TestClient) -> None:
    answer = opened.get("/v1/broken")
    assert answer.status_code == 500 and "secret" not in answer.text and "Traceback" not in answer.text
    assert answer.json()["error"]["type"] == "server_error"


def test_a_body_is_counted_whatever_its_header_says(opened: TestClient) -> None:
    large = b"x" * (1024**2 + 1)
    assert opened.post("/v1/echo", content=large).status_code == 413
    assert opened.post("/v1/echo", content=iter([large])).status_code == 413
    assert opened.post("/v1/echo", content=b"x", headers={"content-length": "-1"}).status_code == 413
    assert opened.post("/v1/echo", content=large[:-1]).json() == 1024**2


def test_a_client_that_asks_too_often_waits(opened: TestClient) -> None:
    found = [opened.post("/v1/echo", content=b"x") for _ in range(10)]
    assert [answer.status_code for answer in found] == [200] * 8 + [429] * 2
    assert int(found[-1].headers["retry-after"]) >= 1 and found[-1].json()["error"]["type"] == "rate_limit_error"


def test_the_endpoint_wants_a_token(guarded: TestClient, accounts: Accounts) -> None:
    token = accounts.add_token("script")
    for value in ("", "Bearer", "Bearer wrong", f"Basic {token}", token, f"Bearer {token}x"):
        answer = guarded.post("/v1/echo", content=b"x", headers={"authorization": value})
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["type"] == "authentication_error"
    assert guarded.post("/v1/echo", content=b"x", headers={"authorization": f"Bearer {token}"}).json() == 1


def test_a_login_opens_the_page_but_not_the_endpoint(guarded: TestClient) -> None:
    answer = guarded.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert "password" in guarded.get("/login").text
    answer = log_in(guarded)
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303 and "HttpOnly" in cookie and "SameSite=strict" in cookie and "ada" not in cookie
    assert guarded.get("/").json() == "page"
    with guarded.websocket_connect("ws://localhost:8000/socket") as socket:
        assert socket.receive_text() == "open"
    assert guarded.post("/v1/echo", content=b"x").status_code == 401
    guarded.post("/logout")
    assert guarded.get("/").status_code == 303


def test_without_a_login_there_is_no_socket(guarded: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), guarded.websocket_connect("ws://localhost:8000/socket"):
        pass
    guarded.cookies.set(COOKIE, "made up")
    with pytest.raises(WebSocketDisconnect), guarded.websocket_connect("ws://localhost:8000/socket"):
        pass
    assert guarded.post("/").status_code == 401


def test_passwords_cannot_be_tried_without_end(guarded: TestClient) -> None:
    found = [log_in(guarded, "wrong horse").status_code for _ in range(6)]
    assert found == [401] * 4 + [429] * 2
    assert log_in(guarded).status_code == 429


def test_a_login_form_of_any_content_is_answered(guarded: TestClient) -> None:
    for content in (b"", b"\xff\xfe=%%%", b"name=" + b"x" * 50_000):
        assert guarded.post("/login", content=content).status_code == 401
