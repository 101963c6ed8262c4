"""An operation as an ASGI application, and the bodies of its requests."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from asof.server.openapi import Operation
from asof.server.problems import RequestError
from asof.wire.values import decoder


class Endpoint:
    """What answers an operation. What Starlette puts around a function takes as long as reading a row."""

    def __init__(self, operation: Operation, answer: Callable[[Operation, Request], Awaitable[Response]]) -> None:
        """Keep what answers, which raises nothing."""
        self._operation = operation
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = await self._answer(self._operation, Request(scope, receive))
        await response(scope, receive, send)


async def decoded_body(operation: Operation, receive: Receive, most_bytes: int) -> Any:  # noqa: ANN401 - the type of the operation's body
    """Return the body of a request; None if its operation has none.

    Raises:
        RequestError: It is too large, or not what it should be. ClientDisconnect: It did not come to its end.
    """
    if operation.body is None:
        return None
    body = await _body(receive, most_bytes)
    if operation.packed:
        return decoder(operation.body)(body)
    try:
        return _decoder(operation.body).decode(body)
    except msgspec.DecodeError as error:  # of wrong types too
        raise RequestError(400, f"the body is not what it should be: {error}", todo="see /openapi.json") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, f"the body is no JSON: {type(error).__name__}") from error


async def _body(receive: Receive, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
        size += len(parts[-1])
        if size > most_bytes:
            raise RequestError(413, f"the body has more than {most_bytes:,} bytes", todo="send it in parts")
    return b"".join(parts)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:  # noqa: ANN401 - as above
    return msgspec.json.Decoder(kind)
