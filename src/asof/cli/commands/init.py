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
SUFFIX = ".template"
"""Ends the names of files that are examples, so that no tool takes them for code of ours."""

SHAPE: Document = {
    "folder": "my-project",
    "store": "my-project/store",
    "files": ["my-project/features.py"],
    "next": ["cd my-project", "asof apply store features.py"],
}


@asof_command("init", shape=SHAPE)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--bare", is_flag=True, help="Make FOLDER itself an empty store, and nothing else.")
def command(folder: Path, bare: bool) -> Answer:  # noqa: FBT001 - click's flag
    """Make a small working project in a new folder.

    It has definitions with comments, sample data, an empty store, and a README with the commands to type. Refuses a
    folder with anything in it.
    """
    from asof.errors import UsageError

    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{str(folder)!r} is not empty", todo="choose a new folder")
    store = folder if bare else folder / "store"
    files = [] if bare else _copy(folder)
    asof.open(store).close()
    following = [f"asof ls {store}"] if bare else [f"cd {folder}", *_commands(folder / "README.md")]
    document = {"folder": folder, "store": store, "files": files, "next": following}
    return Answer(document, lambda screen: _show(screen, store, files, following))


def _copy(folder: Path) -> list[Path]:
    made: list[Path] = []
    for source in sorted(PROJECT.rglob("*")):
        if not source.is_file():
            continue
        target = folder / source.relative_to(PROJECT).with_name(source.name.removesuffix(SUFFIX))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        made.append(target)
    return made


def _commands(readme: Path) -> list[str]:
    return [line.strip() for line in readme.read_text(encoding="utf-8").splitlines() if line.startswith("    asof ")]


def _show(screen: "Screen", store: Path, files: list[Path], following: list[str]) -> None:
    for file in files:
        screen.line(f"made {file}", style="dim")
    screen.line(f"made {store}, an empty store", style="green")
    screen.line()
    screen.line("next:", style="bold")
    for line in following:
        screen.line(f"  {line}")
