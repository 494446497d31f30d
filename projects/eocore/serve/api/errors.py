"""Errors in the form of OpenAI's API: {"error": {message, type, param, code}}; a client never gets a trace."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from eocore.errors import AccessError, BusyError, ConfigError, DataError, EOError, TimeLimitError, WorkerLostError, describe_unforeseen
from eocore.log import get_logger

INVALID = "invalid_request_error"
SERVER = "server_error"
STATUS: tuple[tuple[type[EOError], int, str], ...] = (
    (BusyError, 429, "rate_limit_error"),
    (TimeLimitError, 504, "timeout_error"),
    (WorkerLostError, 503, SERVER),
    (AccessError, 404, "not_found_error"),
    (ConfigError, 400, INVALID),
    (DataError, 400, INVALID),
)
"""Class -> HTTP status and type; the first that fits counts. Any other error is the server's."""
UNFORESEEN = "the server failed; its log says more."
NOT_FOUND = "there is nothing at this address. /docs lists what there is."
MAX_VALUE_CHARACTERS = 200


def error_body(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The body of an error, in which what is no character is replaced."""
    plain = [text if text is None else text.encode("utf-8", "replace").decode() for text in (message, param)]
    return {"error": {"message": plain[0], "type": kind, "param": plain[1], "code": code}}


def describe(error: BaseException) -> tuple[int, dict[str, Any]]:
    """HTTP status and body of an error."""
    for kind, status, name in STATUS:
        if isinstance(error, kind):
            return status, error_body(str(error), name, code=kind.__name__)
    if not isinstance(error, EOError):
        get_logger().error("a request failed: %s", describe_unforeseen(error), exc_info=error)
        return 500, error_body(UNFORESEEN, SERVER)
    return 500, error_body(str(error), SERVER)


def add_handlers(app: FastAPI) -> None:
    """Makes every error of the app's endpoints one of this form."""
    handlers: dict[Any, Callable[[Request, Any], Awaitable[JSONResponse]]] = {
        EOError: _foreseen,
        RequestValidationError: _invalid,
        HTTPException: _http,
        Exception: _foreseen,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _foreseen(_: Request, error: Exception) -> JSONResponse:
    status, body = describe(error)
    headers = {"Retry-After": "1"} if status in (429, 503) else None
    return JSONResponse(body, status, headers=headers)


async def _http(_: Request, error: HTTPException) -> JSONResponse:
    message = NOT_FOUND if error.status_code == 404 else str(error.detail)
    return JSONResponse(error_body(message, INVALID), error.status_code, headers=error.headers)


async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    # of a value that may be of several kinds, the one that it comes nearest to
    first = max(error.errors(), key=lambda each: len(each.get("loc", ())))
    *outer, last = first.get("loc", ()) or ("",)
    inner = [str(part) for part in outer if "[" not in str(part)]  # without pydantic's names of kinds, such as list[...]
    path = [part for part in (*inner, str(last)) if part not in ("", "body", "query", "path")]
    param = ".".join(path)[:MAX_VALUE_CHARACTERS] or None
    if first.get("type") == "extra_forbidden":
        message, code = f"the parameter '{param}' is not supported by this server. Leave it out.", "unsupported_parameter"
    else:
        message, code = f"{param or 'the body'}: {first.get('msg', 'not valid')}"[: 2 * MAX_VALUE_CHARACTERS], "invalid_value"
    return JSONResponse(error_body(message, INVALID, param=param, code=code), 400)
