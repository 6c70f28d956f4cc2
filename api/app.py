"""The application: every resource, one shape for errors, and the console page on top."""

from fastapi import FastAPI

from api import alerts, cycles, errors, facilities, flags, health, live, metrics, sites, tickets, trucks
from api.deps import Deps

RESOURCES = (trucks, cycles, tickets, facilities, flags, alerts, sites, health, metrics, live)

DESCRIPTION = """
Every instant in an answer is ISO 8601 with the district's offset, under a name that ends in `_at`; in a query it may also be milliseconds
since 1970-01-01T00:00:00Z. Units are part of the names. `null` means not measured; zero is a measurement. Every tonnage names its source:
`ticket` (a legal-for-trade scale), `movement` (a transfer station) or `onboard` (a truck's own sensor, a suspicion); they are never added
together. Every answer with a status of 400 or more has the one shape `{"error": {"code", "message", "where", "expected"}}`.
"""


def create_app(deps: Deps) -> FastAPI:
    """The API over a store and a registry, with the console at ``/`` unless the settings turn it off.

    A server that stops waits for open streams, so call ``app.state.live.close()`` before it does. The pages under ``/docs`` are left out:
    they would fetch their scripts from another host. ``/openapi.json`` is there.
    """
    app = FastAPI(
        title="Plimsoll",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        responses={"4XX": {"model": errors.ErrorBody}, "5XX": {"model": errors.ErrorBody}},
    )
    app.state.deps = deps
    app.state.live = live.Live(deps)
    app.state.metrics = metrics.registry(deps, app.state.live)
    errors.install(app)
    for resource in RESOURCES:
        app.include_router(resource.router)
    if deps.settings.console:
        from api import console  # NiceGUI is one application per process: an API without a page does not load it

        console.mount(app, deps)
    return app
