"""Errors over HTTP: a status that says who can mend it, and a body after RFC 9457 with the parts of the message."""

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from asof.errors import AsofError
from asof.wire.statuses import status_of

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, kw_only=True):
    """What went wrong.

    Attributes:
        type: The error's class in `asof.errors`, such as "NotFoundError"; "RequestError" for a request that never
            reached the store.
        title: What happened.
        status: The HTTP status.
        detail: The whole message.
        where: The place: a group, a column and row.
        todo: What the caller can do.
        data: The facts behind the message.
    """

    type: str
    title: str
    status: int
    detail: str
    where: str = ""
    todo: str = ""
    data: dict[str, Any] = {}


class RequestError(Exception):
    """A request that is wrong before the store sees it."""

    def __init__(self, status: int, title: str, *, todo: str = "") -> None:
        """Keep the parts."""
        super().__init__(title)
        self.status = status
        self.title = title
        self.todo = todo


def problem_of(error: Exception) -> Problem:
    """Return an error as a problem."""
    match error:
        case AsofError():
            return Problem(
                type=type(error).__name__,
                title=error.what,
                status=status_of(error),
                detail=str(error),
                where=error.where,
                todo=error.todo,
                data=error.data,
            )
        case RequestError():
            detail = f"{error.title} -> {error.todo}" if error.todo else error.title
            return Problem(type="RequestError", title=error.title, status=error.status, detail=detail, todo=error.todo)
        case _:
            title = "the server failed; its log says how"
            return Problem(type="InternalError", title=title, status=500, detail=title)


def response_of(error: Exception) -> Response:
    """Return an error as a response."""
    problem = problem_of(error)
    body = msgspec.json.encode(problem, enc_hook=str)
    return Response(body, problem.status, _headers(problem), MEDIA_TYPE)


def _headers(problem: Problem) -> dict[str, str]:
    match problem.status:
        case HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": "Bearer"}
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            return {"Retry-After": str(problem.data.get("retry_after_seconds", 1))}
        case _:
            return {}
