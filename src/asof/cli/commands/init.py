"""`asof init`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

import asof
from asof.cli.command import Answer
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

if TYPE_CHECKING:
    from asof.cli.screen import Screen

PROJECT = Path(__file__).parent.parent / "project"
TEMPLATES = ("start", "fti")
"""The first is the default; the others are folders of `examples`."""

SHAPE: Document = {
    "folder": "my-project",
    "store": "my-project/store",
    "files": ["my-project/features.py"],
    "next": ["cd my-project", "asof apply store features.py"],
}


@asof_command("init", shape=SHAPE)
@click.argument("folder", default="my-project", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--template",
    type=click.Choice(TEMPLATES),
    default="start",
    show_default=True,
    help="start: a group and a view, with sample data. fti: three pipelines (features, training, inference) that meet"
    " in the store, on real flights.",
)
@click.option("--bare", is_flag=True, help="Make FOLDER itself an empty store, and nothing else.")
def command(folder: Path, template: str, bare: bool) -> Answer:  # noqa: FBT001 - click's flag
    """Make a small working project in a new folder, `my-project` if none is named.

    It has definitions with comments, data, an empty store, and a README with the commands to type. Refuses a folder
    with anything in it.
    """
    from asof.demo.source import copy, example
    from asof.errors import UsageError

    if bare and template != TEMPLATES[0]:
        raise UsageError(f"a bare store has no template {template!r}", todo="leave out one of the two")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{str(folder)!r} is not empty", todo="choose a new folder")
    store = folder if bare else folder / "store"
    files = [] if bare else copy(PROJECT if template == TEMPLATES[0] else example(template), folder)
    asof.open(store).close()
    following = [f"asof ls {store}"] if bare else [f"cd {folder}", *_commands(folder / "README.md")]
    document = {"folder": folder, "store": store, "files": files, "next": following}
    return Answer(document, lambda screen: _show(screen, store, files, following))


def _commands(readme: Path) -> list[str]:
    """Return the commands of the first list of them."""
    _, _, text = readme.read_text(encoding="utf-8").partition("\n    ")
    return [line.strip() for line in text.partition("\n\n")[0].splitlines()]


def _show(screen: "Screen", store: Path, files: list[Path], following: list[str]) -> None:
    for file in files:
        screen.line(f"made {file}", style="dim")
    screen.line(f"made {store}, an empty store", style="green")
    screen.line()
    screen.line("next:", style="bold")
    for line in following:
        screen.line(f"  {line}")
