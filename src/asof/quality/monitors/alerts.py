"""Alerts over HTTP."""

import urllib.error
import urllib.request
from urllib.parse import urlsplit

import msgspec

from asof.definitions.monitor import SCHEMES
from asof.errors import UsageError
from asof.registry.monitor_runs import MonitorRun

TIMEOUT_SECONDS = 10.0


def post(url: str, run: MonitorRun, *, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """Post what a monitor found, as JSON with a line for people in `text`, as chats read it.

    Args:
        url: Where to, by http or https.
        run: What was found.
        timeout_seconds: How long to wait for a connection, and for an answer.

    Returns:
        Why it failed, without the URL's path, which may hold a secret; "" if it did not.

    Raises:
        UsageError: It is no such URL.
    """
    if not url.startswith(SCHEMES):
        raise UsageError("a webhook is an http:// or https:// URL", where="webhook")
    body = msgspec.json.encode({"text": str(run), **msgspec.to_builtins(run)})
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310 - checked
    try:
        with urllib.request.build_opener(_NoRedirects()).open(request, timeout=timeout_seconds) as answer:
            answer.read(1)
    except (OSError, ValueError, urllib.error.HTTPError) as error:
        reason = f"answered {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        return f"the webhook at {urlsplit(url).hostname} failed: {reason}"
    return ""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follow nobody: a redirect is an answer that did not take the alert."""

    def redirect_request(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - none is made
        """Refuse."""
