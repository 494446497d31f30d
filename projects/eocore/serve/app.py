"""The server: endpoint, login, description, and what is put onto it, behind one gate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.types import ASGIApp

from eocore.serve.access.accounts import Accounts
from eocore.serve.access.gate import API, API_POLICY, DOCUMENT_POLICY, Gate, GateOptions, Logins
from eocore.serve.access.login import add_login
from eocore.serve.api.errors import add_handlers
from eocore.serve.api.routes import make_router
from eocore.serve.options import LOOPBACK
from eocore.serve.service import Service

DOCS, SCHEMA = "/docs", "/openapi.json"
TITLE = "eocore"


@dataclass(frozen=True, kw_only=True)
class Addition:
    """Something else on the same server, such as the page.

    Attributes:
        attach: is called with app and service, before the server starts.
        policies: beginning of a path -> Content-Security-Policy of what lies below it.
    """

    attach: Callable[[FastAPI, Service], None]
    policies: Mapping[str, str] = field(default_factory=dict)


def make_app(service: Service, *, additions: tuple[Addition, ...] = ()) -> ASGIApp:
    """The server's ASGI app.

    Args:
        service: what is asked; started and ended by the caller, in the same event loop.
        additions: what is put onto it.

    Raises:
        ConfigError: the file of users is missing or broken.
    """
    options, logins = service.options, Logins()
    accounts = Accounts.read(options.auth) if options.auth is not None else None

    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=SCHEMA)
    app.include_router(make_router(service))
    add_handlers(app)
    _add_docs(app)
    if accounts is not None:
        add_login(app, accounts, logins=logins)
    for addition in additions:
        addition.attach(app, service)
    policies = {API: API_POLICY, SCHEMA: API_POLICY, DOCS: DOCUMENT_POLICY, "/login": DOCUMENT_POLICY}
    for addition in additions:
        policies |= addition.policies
    hosts = (*LOOPBACK, *options.hosts) if options.is_loopback or options.hosts else ()
    gate = GateOptions(hosts=hosts, accounts=accounts, limits=options.limits, policies=policies)
    return Gate(app, gate, logins=logins)


def _add_docs(app: FastAPI) -> None:
    """The endpoint's description as a page without scripts: FastAPI's own loads them from elsewhere."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    template = environment.get_template("docs.html.jinja")

    @app.get(DOCS, include_in_schema=False)
    async def docs() -> HTMLResponse:
        schema: dict[str, Any] = app.openapi()
        return HTMLResponse(template.render(schema=schema, schema_path=SCHEMA))
