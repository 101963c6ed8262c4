"""`asof import feast`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer
from asof.cli.command import command as asof_command
from asof.cli.documents import PLAN_SHAPE, Document, plan_document

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.feast.model import Found, OurGroup
    from asof.registry.plan import Plan

SHAPE: Document = {
    "repository": "feature_repo",
    "project": "credit",
    "out": "credit_features.py",
    "text": None,
    "settings": {"online": "redis://localhost:6379"},
    "groups": [{"name": "driver_stats", "place": "features.py:12", "features": 3, "load": "asof materialize ..."}],
    "functions": ["score"],
    "views": [{"name": "driver_activity", "place": "features.py:40", "features": 2}],
    "remarks": [{"place": "features.py:40", "what": "what it is", "todo": "what to do about it"}],
    "applied": PLAN_SHAPE,
}


class _PythonFile(click.Path):
    """The path of a Python file that is to be written; its name is that of a module."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ANN401 - click's interface
        """Return the path, if Python can import it by its name."""
        path = Path(str(super().convert(value, param, ctx)))
        if path.suffix != ".py" or not path.stem.isidentifier():
            self.fail(f"{str(path)!r} is no module: write it as features.py", param, ctx)
        if path.exists():
            self.fail(f"{str(path)!r} is there already, and is not overwritten", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"there is no folder {str(path.parent)!r}", param, ctx)
        return path


@asof_command("feast", shape=SHAPE)
@click.argument("repository", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=_PythonFile(dir_okay=False), metavar="FILE.py", help="Where to write the definitions.")
@click.option("--apply", "store", metavar="STORE", help="Register them too, in a store that is made if there is none.")
def import_feast(repository: Path, out: Path | None, store: str | None) -> Answer:
    """Write the definitions of a Feast feature repository as a file of asof.

    Its Python files and feature_store.yaml are read as they stand: nothing of them is run, and Feast need not be
    installed. Feature views become groups, which take their rows from the Parquet files where those are; feature
    services and on-demand feature views become views. Whatever has no counterpart, or cannot be known without running
    the code, is listed with its file and line. Without --out nothing is written: the list and the file are shown.
    """
    if store is not None and out is None:
        raise click.UsageError("--apply registers a file: say with --out where to write it")
    from asof.feast.reading import read_repository
    from asof.feast.writing import definitions_text

    found = read_repository(repository)
    text = definitions_text(found)
    plan = None
    if out is not None:
        out.write_text(text, encoding="utf-8")
        if store is not None:
            plan = _applied(store, out)
    document = _document(repository, found, out, text, store, plan)
    return Answer(document, lambda screen: _show(screen, document, text, plan))


def _applied(store: str, file: Path) -> "Plan":
    import asof

    with asof.open(store) as opened:
        return opened.apply(file)


def _document(  # noqa: PLR0917 - its parts
    repository: Path, found: "Found", out: Path | None, text: str, store: str | None, plan: "Plan | None"
) -> dict[str, Any]:
    return {
        "repository": str(repository),
        "project": found.project,
        "out": None if out is None else str(out),
        "text": text if out is None else None,
        "settings": dict(found.settings),
        "groups": [
            {
                "name": group.name,
                "place": str(group.place),
                "features": len(group.features),
                "load": _load(group, store or "STORE"),
            }
            for group in found.groups
        ],
        "functions": [each.function for each in found.functions if each.body],
        "views": [
            {"name": view.name, "place": str(view.place), "features": len(view.features)} for view in found.views
        ],
        "remarks": [{"place": str(each.place), "what": each.what, "todo": each.todo} for each in found.remarks],
        "applied": None if plan is None else plan_document(plan),
    }


def _load(group: "OurGroup", store: str) -> str:
    """Return what fills a group with its history."""
    if group.rows.file is None:
        return f"asof backfill {store} {group.name} FILE"
    if group.rows.written:
        return f"store.backfill({group.name!r}, ...), as the file says"
    return f"asof materialize {store} {group.name} --backfill"


def _show(screen: "Screen", document: dict[str, Any], text: str, plan: "Plan | None") -> None:
    from asof.cli.commands.plan import show_plan
    from asof.cli.screen import counted

    if document["out"] is None:
        screen.line(text)
    if document["remarks"]:
        screen.line(f"{counted(len(document['remarks']), 'thing')} to look at:", style="bold yellow")
        for remark in document["remarks"]:
            todo = f" -> {remark['todo']}" if remark["todo"] else ""
            screen.line(f"  {remark['place']}: {remark['what']}{todo}")
        screen.line()
    if plan is not None:
        show_plan(screen, plan, done=True)
        screen.line()
    made = f"{counted(len(document['groups']), 'group')} and {counted(len(document['views']), 'view')}"
    if document["out"] is None:
        screen.line(f"nothing was written yet: --out FILE.py writes these {made}", style="bold")
        return
    screen.line(f"{made} in {document['out']}", style="green")
    for name, value in document["settings"].items():
        screen.line(f"in asof.toml: {name} = {value!r}".replace("'", '"'))
    if document["functions"]:
        screen.line(f"whoever answers its on-demand features must find {document['out']}: on PYTHONPATH, or installed")
    screen.line("their history:")
    for group in document["groups"]:
        screen.line(f"  {group['load']}")
