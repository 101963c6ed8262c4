"""The command line as a whole: help, version, errors, documentation, and what it imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import asof
from asof.cli.app import SECTIONS, app
from asof.cli.command import AsofCommand
from asof.cli.command import command as asof_command_of

ROOT = Path(__file__).parents[2]
HEAVY = [
    "pyarrow",
    "duckdb",
    "sqlalchemy",
    "alembic",
    "deltalake",
    "lmdb",
    "numpy",
    "pandas",
    "polars",
    "rich",
    "msgspec",
]  # fmt: skip


def leaves(command=app, path="asof"):
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            yield from leaves(command.get_command(click.Context(command), name), f"{path} {name}")
    else:
        yield path, command


COMMANDS = dict(leaves())


def asof_command(*words, cwd=None, **variables):
    executable = Path(sys.executable).with_name("asof")
    return subprocess.run(
        [executable, *words],
        cwd=cwd,
        env=os.environ | variables,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_lists_every_command_with_a_line_that_fits(typed):
    shown = typed("--help").stdout
    for name in (name for names in SECTIONS.values() for name in names):
        line = next(line for line in shown.splitlines() if line.split()[:1] == [name])
        assert not line.endswith("...")
        assert len(line) <= 80


def test_help_imports_nothing_heavy():
    code = f"""
import sys
sys.argv = ["asof", "--help"]
from asof.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == 0
print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.stderr == "[]\n"


@pytest.mark.slow
def test_a_command_into_a_pipe_does_not_load_rich(loaded):
    code = f"""
import sys
sys.argv = ["asof", "ls", {loaded.store!r}]
from asof.cli import main
try:
    main()
except SystemExit as end:
    assert end.code == 0
assert "rich" not in sys.modules
assert "asof.cli.commands.demo" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_version_is_the_package_s():
    done = asof_command("--version")
    assert done.stdout == f"asof {asof.__version__}\n"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_is_documented(path):
    command = COMMANDS[path]
    page = (ROOT / "docs" / "cli.md").read_text()
    section = page.partition(f"### {path}\n")[2].partition("\n### ")[0]
    assert section
    assert isinstance(command, AsofCommand)
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help
            assert f"`{option.opts[-1] if option.opts[-1].startswith('--') else option.opts[0]}" in section
        else:
            assert option.make_metavar(click.Context(command)) in section
    assert json.dumps(command.shape, indent=2, ensure_ascii=False) in section


def test_the_page_is_not_stale():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate_docs.py", "--check"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout


def test_a_stale_page_fails_the_check(tmp_path):
    script = tmp_path / "scripts" / "generate_docs.py"
    script.parent.mkdir()
    script.write_text((ROOT / "scripts" / "generate_docs.py").read_text())
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "cli.md").write_text("old")
    done = subprocess.run([sys.executable, script, "--check"], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "stale" in done.stdout
    assert (tmp_path / "docs" / "cli.md").read_text() == "old"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_json_and_debug(path):
    assert {"as_json", "debug"} <= {option.name for option in COMMANDS[path].params}


def test_a_wrong_call_is_one_line_and_code_2(error, loaded):
    assert error("onlin", code=2) == "unknown command 'onlin' -> did you mean 'online' or 'monitor'?"
    assert "Missing argument 'STORE'" in error("ls", code=2)
    assert "--limit" in error("read", loaded.store, "weather", "--limit", "x", code=2)
    assert "No such option" in error("ls", loaded.store, "--nope", code=2)
    assert "no key" in error("online", loaded.store, "departure", "JFK", code=2)
    assert "given twice" in error("online", loaded.store, "weather", "origin=JFK", "origin=LGA", code=2)


def test_an_unknown_name_is_one_line_and_code_1(error, loaded):
    assert error("describe", loaded.store, "wether") == "unknown view or group 'wether' -> did you mean 'weather'?"


def test_commands_open_stores_and_never_make_them(error, tmp_path):
    for words in (("ls",), ("read", "weather"), ("compact",), ("doctor",)):
        assert "there is no store" in error(words[0], tmp_path / "none", *words[1:])
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_debug_shows_the_traceback(loaded):
    for words in (("ls", loaded.path("data"), "--debug"), ("--debug", "ls", loaded.path("data"))):
        done = asof_command(*words)
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert "NotFoundError" in done.stderr
    assert "Traceback" not in asof_command("ls", loaded.path("data")).stderr


def test_a_broken_definition_file_is_one_line(error, project):
    file = project.write("broken.py", "1 / 0")
    assert "ZeroDivisionError" in error("apply", project.store, file, code=2)


def test_what_nobody_foresaw_is_one_line_too():
    @asof_command_of("odd", shape={})
    def odd():
        raise KeyError("x")

    done = CliRunner().invoke(odd, [])
    assert done.exit_code == 1
    assert done.stderr == (
        "asof: this should not happen: KeyError: 'x' -> add --debug for the traceback, and report it\n"
    )
    assert isinstance(CliRunner().invoke(odd, ["--debug"]).exception, KeyError)


def test_a_place_that_cannot_be_written_is_named(error, loaded, tmp_path):
    words = ("read", loaded.store, "weather", "--out")
    assert "there is no folder" in error(*words, tmp_path / "none" / "x.csv", code=2)
    assert "[/proc/" in error(*words, "/proc/x.csv")


def test_the_store_may_come_from_the_environment(typed, error, loaded, monkeypatch, tmp_path):
    explicit = typed("ls", loaded.store).stdout
    monkeypatch.setenv("ASOF_STORE", loaded.store)
    assert typed("ls").stdout == explicit
    assert typed("ls", loaded.store).stdout == explicit
    assert "30.0" in typed("online", "weather", "origin=JFK").stdout
    assert typed("read", "weather", "--limit", "1", "--json").stdout.count("origin") == 2
    assert "unknown view or group 'nope'" in error("describe", "nope")
    (tmp_path / "x.csv").write_text("id,x\n1,2\n")
    assert "the new store" not in typed("import", "csv", tmp_path).stdout
    assert "the new store" in typed("import", "csv", tmp_path, tmp_path / "other").stdout


@pytest.mark.slow
def test_reading_into_a_closed_pipe_is_no_traceback(loaded):
    executable = Path(sys.executable).with_name("asof")
    done = subprocess.run(
        f"{executable} read {loaded.store} weather --limit 100 | head -1",
        shell=True,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.startswith("origin")
    assert "Traceback" not in done.stderr
