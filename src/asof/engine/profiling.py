"""Read what DuckDB tells about a query that ran, as JSON; what a version of it does not tell stays unknown."""

import json
from collections.abc import Iterator
from typing import Any

from asof.engine.port import Profile, greatest, total

WORK = {
    "TABLE_SCAN": "read",
    "ASOF_JOIN": "as-of join",
    "HASH_JOIN": "hash join",
    "WINDOW": "window",
    "HASH_GROUP_BY": "group",
}
"""What people call the operators of DuckDB; the others are "other"."""


def add_query(profile: Profile, told: str) -> None:
    """Add a query to a profile."""
    found: dict[str, Any] = json.loads(told) if told else {}
    query, system = found.get("query", {}), found.get("system", {})
    profile.row_groups = total(profile.row_groups, query.get("total_row_groups_to_scan"))
    profile.row_groups_read = total(profile.row_groups_read, query.get("total_row_groups_scanned"))
    profile.rows_read = total(profile.rows_read, query.get("total_rows_scanned"))
    profile.peak_bytes = greatest(profile.peak_bytes, system.get("peak_buffer_memory"))
    profile.spilled_bytes = greatest(profile.spilled_bytes, system.get("peak_temp_dir_size"))
    for operator in _operators(found):
        work = WORK.get(operator.get("type", ""), "other")
        spent = profile.processor_seconds.get(work, 0.0) + operator.get("timing", 0.0)
        profile.processor_seconds[work] = spent


def _operators(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in ("operator", "children"):
        for child in node.get(key, ()):
            yield child
            yield from _operators(child)
