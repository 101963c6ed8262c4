"""A project as `asof init` makes it, and a way to type commands in it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from asof.cli.app import app


@dataclass(frozen=True)
class Project:
    folder: Path

    @property
    def store(self) -> str:
        return str(self.folder / "store")

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def write(self, name: str, text: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)


def _typed(*words, code=0, **options):
    """Type a command; return what it printed."""
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="asof", **options)
    assert result.exit_code == code, (
        f"{words}: {result.exit_code}\n{result.stdout}\n{result.stderr}\n{result.exception!r}"
    )
    assert "Traceback" not in result.stderr
    return result


def _document(*words, code=0):
    """Type a command with --json; return its document."""
    return json.loads(_typed(*words, "--json", code=code).stdout)


def _error(*words, code=1):
    """Type a command that fails; return the one line that it says."""
    result = _typed(*words, code=code)
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("asof: ")
    return result.stderr.removeprefix("asof: ").rstrip("\n")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A loaded project that nobody opens: to copy it is cheaper than to make another."""
    project = Project(tmp_path_factory.mktemp("made") / "project")
    _typed("init", project.folder)
    _typed("apply", project.store, project.path("features.py"))
    _typed("backfill", project.store, "weather", project.path("data/weather.csv"))
    return project


@pytest.fixture
def project(made, tmp_path):
    """A loaded project for one test to change."""
    return Project(Path(shutil.copytree(made.folder, tmp_path / "project")))


@pytest.fixture(scope="session")
def loaded(made, tmp_path_factory):
    """A loaded project that tests only read."""
    return Project(Path(shutil.copytree(made.folder, tmp_path_factory.mktemp("cli") / "project")))


@pytest.fixture(scope="session")
def typed():
    return _typed


@pytest.fixture(scope="session")
def document():
    return _document


@pytest.fixture(scope="session")
def error():
    return _error
