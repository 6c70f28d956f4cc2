"""One shape for every error: ``{"error": {"code", "message", "where", "expected"}}``.

``code`` is for programs, ``message`` names the thing and its value, ``where`` is the parameter or path, ``expected`` says what would
have been right.
"""

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

log = logging.getLogger(__name__)

_CODES = {404: "not_found", 405: "method_not_allowed", 422: "invalid_parameter"}
_EXPECTED = {404: "a path listed in /openapi.json", 405: "a method listed for this path in /openapi.json"}


class ErrorDetail(BaseModel):
    """What went wrong, where, and what was expected."""

    code: str
    message: str
    where: str
    expected: str


class ErrorBody(BaseModel):
    """The body of every answer with a status of 400 or more."""

    error: ErrorDetail


class ApiError(Exception):
    """A refusal that the caller can act on."""

    def __init__(self, status: int, code: str, message: str, *, where: str, expected: str) -> None:
        super().__init__(message)
        self.status = status
        self.detail = ErrorDetail(code=code, message=message, where=where, expected=expected)


def not_found(what: str, name: str, *, where: str, expected: str) -> ApiError:
    """A refusal of a name that nobody gave."""
    return ApiError(404, "not_found", f"{what} {name!r} is not known", where=where, expected=expected)


def invalid(message: str, *, where: str, expected: str) -> ApiError:
    """A refusal of a parameter."""
    return ApiError(422, "invalid_parameter", message, where=where, expected=expected)


def install(app: FastAPI) -> None:
    """Answer every exception of this application in the one shape."""
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def error_response(status: int, detail: ErrorDetail) -> JSONResponse:
    """An error in the one shape."""
    return JSONResponse(ErrorBody(error=detail).model_dump(), status_code=status)


def no_such_path(path: str) -> JSONResponse:
    """The answer to a path that leads nowhere."""
    return error_response(404, ErrorDetail(code="not_found", message=f"{path} is not here", where=path, expected=_EXPECTED[404]))


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - Starlette calls a handler with its own type only; this tells mypy so
    return error_response(error.status, error.detail)


def _unreadable(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    first: dict[str, Any] = error.errors()[0]
    message = f"{first['msg']}; got {first.get('input')!r}"
    detail = ErrorDetail(code=_CODES[422], message=message, where=_where(first["loc"]), expected=_expected(first))
    return error_response(422, detail)


def _where(loc: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in loc)


def _expected(error: dict[str, Any]) -> str:
    """What pydantic says of the bound that was broken, or its message where there is none."""
    bounds = {key: value for key, value in error.get("ctx", {}).items() if key != "error"}
    if bounds:
        return ", ".join(f"{key} {value}" for key, value in bounds.items())
    return str(error["msg"]).removeprefix("Value error, ")


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    if error.status_code == 404:
        return no_such_path(request.url.path)
    code = _CODES.get(error.status_code, "http_error")
    expected = _EXPECTED.get(error.status_code, "see /openapi.json")
    detail = ErrorDetail(code=code, message=str(error.detail), where=f"{request.method} {request.url.path}", expected=expected)
    return error_response(error.status_code, detail)


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed; nothing was changed, the caller got 500", request.method, request.url.path, exc_info=error)
    detail = ErrorDetail(
        code="internal", message="the server failed to answer; its log has the cause", where=request.url.path, expected="an answer"
    )
    return error_response(500, detail)
