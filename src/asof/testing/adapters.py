"""Open an adapter as a store does: by its entry point. What the suites do unless told otherwise."""

from importlib.metadata import entry_points
from typing import Any, Literal

Part = Literal["online", "history", "engine", "registry", "stream"]


def open_adapter(part: Part, adapter: str, url: str, *, root: str = "") -> Any:  # noqa: ANN401 - any of the ports
    """Open the adapter that is installed under a name.

    Args:
        part: The port; entry points of the group `asof.<part>`.
        adapter: The entry point's name.
        url: What a store's settings would say.
        root: The store's folder.
    """
    (point,) = entry_points(group=f"asof.{part}", name=adapter)
    return point.load()(url) if part == "registry" else point.load()(url, root=root)
