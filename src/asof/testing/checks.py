"""Try the checks of a group on rows, without a store: for tests of definitions."""

from datetime import datetime

from asof.arrow.conform import conform
from asof.arrow.frames import Frame, to_table
from asof.checks import Checking, CheckReport, NoStore
from asof.clock import system_us, to_us
from asof.definitions import FeatureGroup


def checked_rows(group: FeatureGroup, frame: Frame, *, now: datetime | None = None) -> CheckReport:
    """Return what the checks of a group say of rows; those that need a store are left out, and the report says so.

    Args:
        group: The definition.
        frame: Rows, as `Store.write` takes them.
        now: The time of the write; None: that of the system.

    Raises:
        DataError: The rows have other columns or types than the group.
    """
    now_us = system_us() if now is None else to_us(now, what="now")
    checking = Checking(group, NoStore(), now_us=now_us)
    checking.add(conform(to_table(frame, where=f"group {group.name}")[0], group))
    return checking.report()
