"""The application: routes inside the border, over the parts of a running server.

request -> Border -> routes -> Order -> Engine -> delivery -> PNG
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from opentelemetry import trace
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from diffusion_core.errors import DiffusionError
from search_jobs.errors import SearchError
from solver_store.errors import StoreError

from .assembly import Services, open_services
from .border.context import context_of
from .border.middleware import Border
from .errors import ServiceError
from .metrics import Outcome
from .problems import problem_of, problem_of_http, problem_of_validation
from .routes import generate, health, models, page, search_jobs, solvers
from .routes.documentation import add_keys, add_problem_schema
from .routes.examples import add_examples
from .settings import Settings
from .tracing import open_tracing, telemetry
from .version import VERSION

ROUTERS = tuple(
    resource.router for resource in (generate, models, solvers, search_jobs, health, page)
)

OpenServices = Callable[[Settings], AbstractContextManager[Services]]


class Application(FastAPI):
    asks_for_keys = False

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        add_problem_schema(document)
        if self.asks_for_keys:
            add_keys(document)
        add_examples(document)
        return document


def create_app(settings: Settings, open_parts: OpenServices = open_services) -> FastAPI:
    """Everything under one roof; the parts open when the server starts and close when it stops.

    Raises SettingInvalid where traces are asked for and cannot be made.
    """
    tracer_provider = open_tracing(settings.traces_url)
    tracer = trace.get_tracer("fewstep", VERSION, tracer_provider)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            with open_parts(settings) as services:
                app.state.services = services
                yield
        finally:
            if tracer_provider is not None:
                tracer_provider.shutdown()

    app = Application(
        title="fewstep",
        summary="Images from diffusion models in as few network evaluations as possible.",
        version=VERSION,
        lifespan=lifespan,
        middleware=[Middleware(Border, api_keys=settings.api_keys, tracer=tracer)],
        telemetry=telemetry(tracer_provider),
        redirect_slashes=False,
        docs_url=None,  # our own, in routes/page.py: the framework's loads from other hosts
        redoc_url=None,
    )
    app.asks_for_keys = bool(settings.api_keys)
    for router in ROUTERS:
        app.include_router(router)
    for kind in (ServiceError, DiffusionError, SearchError, StoreError):
        app.add_exception_handler(kind, _answer_refusal)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    return app


async def _answer_refusal(request: Request, error: Exception) -> Response:
    context = context_of(request)
    context.outcome = Outcome.of_error(error)  # the border sees no more of it than its status
    return problem_of(error).response(context.id)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = problem_of_http(error).response(context_of(request).id)
    if error.status_code == 405:
        # The framework names the methods of the first route of this path alone.
        response.headers["Allow"] = ", ".join(sorted(_methods(request.url.path)))
    return response


def _methods(path: str) -> set[str]:
    """What can be done at this path."""
    routes = [route for router in ROUTERS for route in router.routes]
    matching = [
        route for route in routes if isinstance(route, APIRoute) and route.path_regex.match(path)
    ]
    return {method for route in matching for method in route.methods or ()}


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem_of_validation(error).response(context_of(request).id)
