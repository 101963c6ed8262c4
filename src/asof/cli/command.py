"""What the subcommands share: STORE, `--json`, `--debug`, and errors and warnings as single lines on stderr."""

import os
import shutil
import sys
import textwrap
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asof.cli.documents import Document
from asof.errors import AsofError, DataWarning, UsageError

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.store import Store

STORE_VARIABLE = "ASOF_STORE"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a subcommand found out.

    Attributes:
        document: For programs: printed by `--json`.
        show: For people: prints it otherwise.
        code: The exit code.
    """

    document: Document
    show: "Callable[[Screen], None]"
    code: int = 0


class Failure(click.ClickException):
    """An error as one line on stderr."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(" ".join(message.split()))
        self.exit_code = code  # pyright: ignore[reportAttributeAccessIssue] - click's own way, typed as of the class

    def show(self, file: Any = None) -> None:  # noqa: ANN401 - click's interface
        """Print it."""
        click.echo(click.style("asof: ", fg="red", bold=True) + _wrapped(self.message, 6), file=file, err=file is None)


class AsofCommand(click.Command):
    """A subcommand that returns an `Answer`."""

    def __init__(self, *args: Any, shape: Document, **options: Any) -> None:  # noqa: ANN401 - click's interface
        """Keep an example of what `--json` prints."""
        super().__init__(*args, **options)
        self.shape = shape

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let ASOF_STORE stand in where STORE is missing: where the first argument is no store."""
        default = os.environ.get(STORE_VARIABLE)
        arguments = [parameter.name for parameter in self.params if isinstance(parameter, click.Argument)]
        if default and "store" in arguments and not ctx.resilient_parsing:
            given: object = self.make_parser(ctx).parse_args(list(args))[0].get("store")
            if arguments[0] != "store":
                args = args if isinstance(given, str) else [*args, default]
            elif not (isinstance(given, str) and _is_store(given)):
                args = [default, *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> None:
        """Run it, then print its answer; an error becomes one line."""
        as_json: bool = ctx.params.pop("as_json")
        ctx.meta["asof.json"] = as_json
        debug: bool = ctx.params.pop("debug") or ctx.find_root().params.get("debug", False)
        try:
            with _notes():
                answer: Answer = super().invoke(ctx)
            _print(answer, as_json=as_json)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if debug:
                raise
            raise _failure(error) from error
        ctx.exit(answer.code)


def command(name: str, *, shape: Document) -> Callable[[Callable[..., Answer]], AsofCommand]:
    """Make a subcommand of a function; it gets the options `--json` and `--debug`.

    Args:
        name: What people type.
        shape: An example of what `--json` prints.
    """

    def made(function: Callable[..., Answer]) -> AsofCommand:
        plain = click.command(name, cls=AsofCommand, shape=shape)(function)
        plain.params += [
            click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document."),
            click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
        ]
        return plain

    return made


store_argument = click.argument("store")
"""The store: a folder. Commands open it, and never make it."""


def open_store(store: str, *, repair: bool = False) -> "Store":
    """Open a store that exists; `repair` as in `asof.open`."""
    import asof

    return asof.open(store, create=False, repair=repair)


def pairs(texts: tuple[str, ...], *, what: str) -> dict[str, str]:
    """Return `name=value` arguments as a dict.

    Raises:
        click.UsageError: An argument has another form, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{text!r} is no {what}: write it as name=value")
        if name in found:
            raise click.UsageError(f"{what} {name!r} is given twice")
        found[name] = value
    return found


def note(text: str) -> None:
    """Tell people something beside the answer, on stderr."""
    click.echo(click.style("note: ", fg="yellow") + _wrapped(text, 6), err=True)


def _wrapped(text: str, indent: int) -> str:
    """Break a line between words, if somebody looks; programs get whole lines."""
    if not sys.stderr.isatty():
        return text
    width = max(shutil.get_terminal_size().columns - indent, 20)
    lines = [textwrap.wrap(line, width, break_on_hyphens=False) for line in text.split("\n")]
    return ("\n" + " " * indent).join(part for parts in lines for part in parts)


def _is_store(text: str) -> bool:
    return "://" in text or (Path(text) / "asof.toml").exists()


@contextmanager
def _notes() -> Generator[None]:
    """Print warnings about data as notes; other warnings keep their way."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:  # noqa: ANN401 - passed on
            if issubclass(category, DataWarning):
                note(str(message))
            else:
                usual(message, category, *rest)

        warnings.simplefilter("always", DataWarning)
        warnings.showwarning = show
        yield


def _print(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        from asof.cli.documents import encode

        click.echo(encode(answer.document))
        return
    from asof.cli.screen import Screen

    answer.show(Screen())


@contextmanager
def usage_errors() -> Generator[None]:
    """Make a line of what is wrong with the arguments, in place of the usage."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "asof"
        message = error.format_message().rstrip(".")
        hint = "" if "->" in message else f" -> see `{path} --help`"
        raise Failure(message + hint, 2) from error


def _failure(error: Exception) -> Failure:
    match error:
        case UsageError():
            return Failure(str(error), 2)
        case AsofError():
            return Failure(str(error), 1)
        case OSError():
            place = f" [{error.filename}]" if error.filename else ""
            return Failure(f"{error.strerror or error}{place}", 1)
        case _:
            what = f"this should not happen: {type(error).__name__}: {error}"
            return Failure(f"{what} -> add --debug for the traceback, and report it", 1)
