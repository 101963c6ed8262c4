"""The command itself: subcommands by section, each loaded from its own module when it is asked for."""

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

import asof
from asof.cli.command import usage_errors

SECTIONS = {
    "Start": ("demo", "init", "import"),
    "Define": ("plan", "apply"),
    "Write": ("write", "backfill", "materialize", "stream", "retire", "retract", "forget"),
    "Read": ("historical", "training-set", "online", "nearest", "read"),
    "Predict": ("model", "predict"),
    "Look around": ("ls", "describe", "search", "lineage", "commits", "explain", "tag"),
    "Trust": ("check", "reports", "quarantine", "statistics", "drift", "monitor", "verify", "doctor"),
    "Serve": ("serve", "ui", "keys", "audit"),
    "Keep": ("compact", "split", "remove"),
    "Move": ("copy", "backup", "restore"),
}
"""Commands in the order of the help; `name` lives in `asof.cli.commands.name`, with `-` as `_`."""

MODULES = {"import": "import_", "training-set": "training_set"}
"""Modules that cannot have their command's name."""


class Commands(click.Group):
    """The subcommands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """Return the names, in the order of the help."""
        return [name for names in SECTIONS.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one subcommand, and load no other."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return import_module(f"asof.cli.commands.{MODULES.get(cmd_name, cmd_name)}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the subcommand that the arguments name, or say which names come close."""
        name = args[0]
        if name not in self.list_commands(ctx) and not name.startswith("-"):
            close = get_close_matches(name, self.list_commands(ctx), n=2, cutoff=0.5)
            hint = " or ".join(map(repr, close))
            ctx.fail(f"unknown command {name!r}" + (f" -> did you mean {hint}?" if close else ""))
        return super().resolve_command(ctx, args)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's interface
    ) -> click.Context:
        """Read the options before the subcommand; a mistake is one line."""
        with usage_errors():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's interface
        """Read the options of the subcommand and run it; a mistake is one line."""
        with usage_errors():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands by section."""
        width = max(map(len, self.list_commands(ctx)))
        for title, names in SECTIONS.items():
            rows: list[tuple[str, str]] = []
            for name in names:
                command = self.get_command(ctx, name)
                rows.append((name.ljust(width), command.get_short_help_str(100) if command else ""))
            with formatter.section(title):
                formatter.write_dl(rows)


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="`asof COMMAND --help` says more. With the variable ASOF_STORE set, STORE may be left out.",
)
@click.version_option(asof.__version__, "--version", prog_name="asof", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def app(debug: bool) -> None:  # noqa: FBT001 - read by the subcommand from its parent context
    """Define features once, keep their history with two clocks, train on it and serve it.

    The first commands to type: `asof demo`, or `asof init my-project`.
    """
