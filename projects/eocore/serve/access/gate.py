"""What stands before every request: hosts, origins, users and tokens, rates, sizes; and the headers of every answer."""

import json
import math
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eocore.errors import describe_unforeseen
from eocore.log import get_logger
from eocore.serve.access.accounts import Accounts
from eocore.serve.access.rates import RateLimit
from eocore.serve.api.errors import UNFORESEEN, error_body
from eocore.serve.options import LOOPBACK, MIB, Limits

COOKIE = "eo_login"
LOGIN_PATH, LOGOUT_PATH = "/login", "/logout"
API = "/v1"
LOGIN_S = 12 * 3600.0
"""After which a user logs in anew [s]."""
OPEN_PATHS = (LOGIN_PATH,)
API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
DOCUMENT_POLICY = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
"""Of every answer. Source: OWASP, HTTP Headers Cheat Sheet."""


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """What the gate asks.

    Attributes:
        hosts: by which the server may be called; none = any. On loopback those of this machine, so that no page on the web can reach it by
            a name of its own that leads here (DNS rebinding).
        accounts: who may pass; None = everybody.
        limits: of sizes and rates.
        policies: beginning of a path -> its Content-Security-Policy; the longest counts.
    """

    hosts: tuple[str, ...] = LOOPBACK
    accounts: Accounts | None = None
    limits: Limits = field(default_factory=Limits)
    policies: Mapping[str, str] = field(default_factory=dict)


class Logins:
    """Users that are logged in, by the random value of their cookie."""

    def __init__(self) -> None:
        self._users: dict[str, tuple[str, float]] = {}

    def open(self, name: str) -> str:
        """Logs a user in; returns the cookie's value."""
        now = time.monotonic()
        self._users = {key: each for key, each in self._users.items() if each[1] > now}
        value = secrets.token_urlsafe(32)
        self._users[value] = (name, now + LOGIN_S)
        return value

    def user(self, value: str | None) -> str | None:
        """The user of a cookie; None for one that is not logged in, or no longer."""
        name, end = self._users.get(value or "", ("", 0.0))
        return name if name and end > time.monotonic() else None

    def close(self, value: str | None) -> None:
        """Logs out."""
        self._users.pop(value or "", None)


class Refusal(HTTPException):
    """A request goes no further; raised while a body is read, the app's own handlers answer."""


class Gate:
    """ASGI middleware around everything: endpoint, page, files, web sockets.

    Args:
        app: behind it.
        options: what is asked.
        logins: of users.
    """

    def __init__(self, app: ASGIApp, options: GateOptions, *, logins: Logins) -> None:
        self._app, self._options, self._logins = app, options, logins
        self._rates = RateLimit(options.limits.requests_per_minute)
        self._attempts = RateLimit(options.limits.logins_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0917  (as ASGI has it)
        """Lets a request through, or answers it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, send, policy=self._policy(scope["path"]))
        try:
            self._check(scope)
            limit = self._body_limit(scope)
            await self._app(scope, _limited(receive, limit), passage.send)
        except Refusal as refusal:
            await passage.refuse(refusal)
        except Exception as error:
            if passage.has_begun:
                raise
            get_logger().error("a request failed: %s", describe_unforeseen(error), exc_info=error)
            await passage.refuse(Refusal(500, UNFORESEEN))

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._options.hosts and _host_name(host) not in self._options.hosts:
            raise Refusal(400, "the server is not called by this name. Call it by the one that it was started with.")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Refusal(403, "a page of another site may not ask this server.")
        client = (scope.get("client") or ("",))[0]
        if scope["path"] == LOGIN_PATH and scope.get("method") == "POST":
            _slow_down(self._attempts.wait_s(client))
        if self._options.accounts is not None:
            client = self._known(scope, headers, accounts=self._options.accounts) or client
        if scope["path"].startswith(f"{API}/"):
            _slow_down(self._rates.wait_s(client))

    def _known(self, scope: Scope, headers: Headers, *, accounts: Accounts) -> str | None:
        """Who asks; None where nobody needs to be known."""
        path = scope["path"]
        if path in OPEN_PATHS:
            return None
        if path == API or path.startswith(f"{API}/"):
            kind, _, token = headers.get("authorization", "").partition(" ")
            name = accounts.token_name(token.strip()) if kind.lower() == "bearer" else None
            if name is None:
                raise Refusal(
                    401,
                    "no token, or one that is not known. Send it as: Authorization: Bearer TOKEN",
                    headers={"WWW-Authenticate": "Bearer"},
                )
            return f"token {name}"
        name = self._logins.user(login_cookie(headers))
        if name is None:
            if scope["type"] == "websocket" or scope.get("method") not in ("GET", "HEAD"):
                raise Refusal(401, "nobody is logged in.")
            raise Refusal(303, "log in first.", headers={"Location": LOGIN_PATH})
        return f"user {name}"

    def _body_limit(self, scope: Scope) -> int:
        """Largest body [bytes]. Raises Refusal where the request says that it is larger."""
        headers = Headers(scope=scope)
        limits = self._options.limits
        is_form = headers.get("content-type", "").startswith("multipart/form-data")
        limit = (limits.upload_mib if is_form else limits.json_mib) * MIB
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            raise _too_large(limit)
        return limit

    def _policy(self, path: str) -> str:
        fitting = [begin for begin in self._options.policies if path.startswith(begin)]
        return self._options.policies[max(fitting, key=len)] if fitting else DOCUMENT_POLICY


class _Passage:
    """The way back of one request."""

    def __init__(self, scope: Scope, send: Send, *, policy: str) -> None:
        self._scope, self._send, self._policy = scope, send, policy
        self.has_begun = False

    async def send(self, message: Message) -> None:
        """Adds headers to the beginning of an answer."""
        if message["type"] in ("http.response.start", "websocket.accept"):
            self.has_begun = True
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Content-Security-Policy"] = self._policy
            for name, value in HEADERS.items():
                headers[name] = value
            if self._scope["path"].startswith(API):
                headers.setdefault("Cache-Control", "no-store")
            if "server" in headers:
                del headers["server"]
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answers in place of the app. The connection stays: one that is closed while a body still comes is reset, and the answer lost."""
        if self._scope["type"] == "websocket":
            await self._send({"type": "websocket.close", "code": 1008, "reason": refusal.detail[:100]})
            return
        kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 500: "server_error"}
        body = json.dumps(error_body(refusal.detail, kind.get(refusal.status_code, "invalid_request_error"))).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **(refusal.headers or {})}
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": refusal.status_code, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})


def login_cookie(headers: Headers) -> str | None:
    """The value of the cookie of users."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return found.value if found is not None else None


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive`, which raises Refusal once a body is larger than `limit` [bytes], whatever the request said."""
    total = 0

    async def counted() -> Any:
        nonlocal total
        message = await receive()
        if message["type"] == "http.request":
            total += len(message.get("body", b""))
            if total > limit:
                raise _too_large(limit)
        return message

    return counted


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"the request is larger than the {limit // MIB} MiB that this server takes. Send less.")


def _slow_down(wait_s: float) -> None:
    if wait_s > 0:
        raise Refusal(429, "too many requests. Try again later.", headers={"Retry-After": str(math.ceil(wait_s))})


def _host_name(host: str) -> str:
    """Of a Host header, without the port; IPv6 without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] or host
