"""A feature store: features defined once, history with two clocks, training that equals serving.

Importing it is light: engines are loaded when a store opens.
"""

from typing import TYPE_CHECKING

from asof import errors
from asof.definitions import Check, Entity, Feature, FeatureGroup, FeatureView
from asof.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from asof.store import Store

__all__ = ["Check", "Entity", "Feature", "FeatureGroup", "FeatureView", "Progress", "errors", "open"]

__version__ = "0.1.0"


def open(  # noqa: A001 - pinned: `asof.open` reads like the builtin on purpose
    path: "str | Path",
    *,
    create: bool = True,
    clock: "Callable[[], datetime] | None" = None,
    repair: bool = False,
    progress: Progress | bool = False,
) -> "Store":
    """Open a store.

    Args:
        path: A folder.
        create: Make the store if the folder is empty or absent.
        clock: A callable that returns an aware datetime; default: the system's clock.
        repair: Look at every page of the online store; move a damaged one aside and build it again from history.
            What was wrong is told by `store.quality.doctor(repair=True)`.
        progress: True for a bar, or a callable that is told (done, total) of the groups whose online rows are caught
            up with history, or built again.

    Raises:
        NotFoundError: There is no store and `create` is False.
        UsageError: The folder holds other files, or a store that a newer version wrote.
    """
    from asof.store import Store  # noqa: PLC0415 - engines load only now

    return Store.open(path, create=create, clock=clock, repair=repair, progress=progress)
