"""Logging in and out: one form without any script."""

from html import escape
from urllib.parse import parse_qs

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool

from eocore.serve.access.accounts import Accounts
from eocore.serve.access.gate import COOKIE, LOGIN_PATH, LOGIN_S, LOGOUT_PATH, Logins, login_cookie

MAX_FORM = 10_000
"""Bytes of a filled-in form."""
FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Log in</title><meta name="viewport" content="width=device-width"></head>
<body><main><h1>Log in</h1><p role="alert">{message}</p>
<form method="post" action="{path}">
<p><label>Name <input name="name" autocomplete="username" required autofocus maxlength="64"></label></p>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required maxlength="1000"></label></p>
<p><button type="submit">Log in</button></p>
</form></main></body></html>
"""


def add_login(app: FastAPI, accounts: Accounts, *, logins: Logins) -> None:
    """Adds the form, and what it is sent to; how often is the gate's matter."""

    @app.get(LOGIN_PATH, include_in_schema=False)
    async def show() -> HTMLResponse:
        return HTMLResponse(form())

    @app.post(LOGIN_PATH, include_in_schema=False)
    async def log_in(request: Request) -> Response:
        body = await request.body()
        fields = parse_qs(body[:MAX_FORM].decode("utf-8", "replace"), max_num_fields=4) if len(body) <= MAX_FORM else {}
        name, password = (fields.get(key, [""])[0] for key in ("name", "password"))
        if not await run_in_threadpool(accounts.is_user, name, password):
            return HTMLResponse(form("Name or password is wrong."), 401)
        answer = RedirectResponse("/", 303)
        is_https = request.url.scheme == "https"
        answer.set_cookie(COOKIE, logins.open(name), max_age=int(LOGIN_S), httponly=True, samesite="strict", secure=is_https)
        return answer

    @app.post(LOGOUT_PATH, include_in_schema=False)
    async def log_out(request: Request) -> Response:
        logins.close(login_cookie(request.headers))
        answer = RedirectResponse(LOGIN_PATH, 303)
        answer.delete_cookie(COOKIE)
        return answer


def form(message: str = "") -> str:
    """The page with the form."""
    return FORM.format(message=escape(message), path=LOGIN_PATH)
