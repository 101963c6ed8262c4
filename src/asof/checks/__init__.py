"""Evaluation of checks: one evaluator for write, backfill, push, streams and the server. Source: SEMANTICS section 7.

Rows in, a report out. `rows` says of each row whether it keeps a check; `batch` gathers what is said of a whole write,
which may come in parts; `users` runs what users wrote. What they ask of the store comes through `Around`.
"""

from asof.checks.around import Around, NoStore
from asof.checks.checking import Checking, Found, refuse, try_out
from asof.checks.report import CheckReport, CheckResult, report_from, without_values

__all__ = [
    "Around",
    "CheckReport",
    "CheckResult",
    "Checking",
    "Found",
    "NoStore",
    "refuse",
    "report_from",
    "try_out",
    "without_values",
]
