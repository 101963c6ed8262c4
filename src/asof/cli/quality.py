"""What the subcommands about trust share: reports of checks as documents and on the screen."""

from typing import TYPE_CHECKING

from asof.cli.documents import Document

if TYPE_CHECKING:
    from asof.checks import CheckReport, CheckResult
    from asof.cli.screen import Screen

RESULT_SHAPE: Document = {
    "check": "temp between -60 and 140",
    "kind": "between",
    "outcome": "broken",
    "broken": 2,
    "row": 17,
    "value": "500.0",
    "observed": None,
    "note": "",
}
REPORT_SHAPE: Document = {
    "group": "weather@1",
    "commit": "weather@1:17",
    "at": "2026-01-01T12:00:00Z",
    "writer": "ana@host",
    "mode": "quarantine",
    "rows": 1000,
    "set_aside": 2,
    "refused": False,
    "results": [RESULT_SHAPE],
}
MOVER_SHAPE: Document = {
    "group": "weather@1",
    "first": 4,
    "last": 4,
    "rows": 600,
    "committed_us": 1767268800000000,
    "measure": "psi",
    "whole": 2.1,
    "without": 0.02,
    "alone": 2.9,
    "writer": "ana@host",
    "meta": {"file": "weather-4.csv"},
}
MEASURED_SHAPE: Document = {"value": 0.8, "p": 0.001, "source": "exact", "bound": 0.0}
DRIFT_SHAPE: Document = {
    "of": "weather@1",
    "baseline": "tag spring",
    "current": "commit weather:4",
    "features": [
        {
            "feature": "temp",
            "baseline_rows": 1800,
            "current_rows": 600,
            "baseline_missing": 0.0,
            "current_missing": 0.02,
            "measures": {"ks": MEASURED_SHAPE},
            "p": 0.002,
            "verdict": "drifted",
            "why": ["psi 2.1 is large (Kolmogorov-Smirnov 0.8)"],
            "segment": None,
            "moved_by": [MOVER_SHAPE],
        }
    ],
    "limits": {"alpha": 0.01, "psi": 0.1, "missing": 0.05},
    "by": "",
    "notes": ["left out: count_30d: group counts@1 is made of weather@1 when it is read"],
}
COLUMNS = ("check", "outcome", "rows", "first", "observed")


def report_document(report: "CheckReport") -> Document:
    """Return a report as a document."""
    from asof.clock import show_us

    return {
        "group": report.group,
        "commit": report.commit or None,
        "at": show_us(report.at_us) if report.at_us else None,
        "writer": report.writer,
        "mode": report.mode,
        "rows": report.rows,
        "set_aside": report.set_aside,
        "refused": report.refused,
        "results": [{name: getattr(result, name) for name in RESULT_SHAPE} for result in report.results],
    }


def show_report(screen: "Screen", report: "CheckReport") -> None:
    """Print what each check said."""
    head, *_ = str(report).splitlines()
    screen.line(head, style="green" if report.passed else "red")
    if report.results:
        screen.table(COLUMNS, [_row(result) for result in report.results])


def _row(result: "CheckResult") -> tuple[str | None, ...]:
    first = None if result.row is None else f"row {result.row}: {result.value}"
    told = f"{result.observed:g}" if result.observed is not None else None
    noted = " ".join(part for part in (told, result.note) if part) or None
    return result.check, result.outcome, f"{result.broken:,}" if result.broken else None, first, noted
