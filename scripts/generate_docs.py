"""Write the generated pages of docs/. With --check: fail when a page is not what would be written."""

import argparse
import difflib
import json
import sys
from pathlib import Path

import click

from asof.cli.app import SECTIONS, app
from asof.cli.command import AsofCommand
from asof.cli.files import SUFFIXES

DOCS = Path(__file__).parent.parent / "docs"

HEAD = """# The command line

<!-- Written by scripts/generate_docs.py from the commands themselves: `make docs`. -->

`asof COMMAND STORE ...`: the store comes first; it is a folder. `asof COMMAND --help` says what this page says.

- **ASOF_STORE**: with this variable set, STORE may be left out: a first argument that is no store is the next one.
- **Files** are told apart by their suffix: {suffixes}.
  A CSV is read with the types that the group declares: an empty field is null, times are ISO 8601 with `Z` or an offset
  (naive ones only if the group declares `timezone=`), lists and structs are JSON.
- **--json** prints one JSON document on stdout, of the shape shown with each command. Times are RFC 3339 in UTC,
  decimals are text, bytes base64; NaN and infinity have no JSON and become null.
- **Errors** are one line on stderr: what happened, where, and what to do. The exit code is 0 if all went well, 2 if the
  call was wrong, 1 otherwise. `--debug` shows the traceback.
- On a terminal there are colours, progress bars and as many columns as fit; into a pipe go plain tables. `NO_COLOR=1`
  turns colours off.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a page is stale")
    check = parser.parse_args().check
    stale = False
    for name, text in {"cli.md": cli_page()}.items():
        path = DOCS / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            continue
        if check:
            stale = True
            lines = difflib.unified_diff(old.splitlines(), text.splitlines(), str(path), "generated", lineterm="", n=1)
            print("\n".join(list(lines)[:40]))
            print(f"{path} is stale: run make docs")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    return stale


def cli_page():
    suffixes = ", ".join(f"`{suffix}`" for suffix in SUFFIXES)
    parts = [HEAD.format(suffixes=suffixes), options_table(app)]
    for title, names in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name in names:
            parts += command_parts(app.get_command(click.Context(app), name), f"asof {name}")
    return "\n".join(parts).rstrip() + "\n"


def command_parts(command, path):
    if isinstance(command, click.Group):
        return [part for name, sub in command.commands.items() for part in command_parts(sub, f"{path} {name}")]
    context = click.Context(command, info_name=path, help_option_names=["-h", "--help"])
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    paragraphs = [" ".join(part.split()).replace("*", "\\*") for part in command.help.split("\n\n")]
    parts = [f"### {path}\n", f"```text\n{usage}\n```\n", "\n\n".join(paragraphs) + "\n", options_table(command)]
    if isinstance(command, AsofCommand):
        parts.append(f"`--json` prints:\n\n```json\n{json.dumps(command.shape, indent=2, ensure_ascii=False)}\n```\n")
    return parts


def options_table(command):
    rows = ["| option | what it does |", "|---|---|"]
    context = click.Context(command)
    for parameter in command.params:
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            what = " ".join(record[1].split())
            rows.append(f"| `{cell(record[0])}` | {cell(what)} |")
    return "\n".join(rows) + "\n"


def cell(text):
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
