"""A zygote that forks workers with asof already imported."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent


class Zygote:
    """Starts workers; their errors are collected in a file."""

    def __init__(self, errors):
        self.errors = errors
        with errors.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "zygote.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the zygote died: {self.errors.read_text()}")
        return int(answer)

    def start(self, job, *arguments):
        return self.ask(json.dumps([job, *arguments]))

    def wait(self, pid):
        return self.ask(f"wait {pid}")


@pytest.fixture
def tmp_path():
    """Give a folder on a disk, also where those of other tests are in memory: kills are to hit what waits for a sync."""
    with tempfile.TemporaryDirectory(prefix="asof-", dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def zygote(tmp_path):
    made = Zygote(tmp_path / "errors")
    yield made
    made.process.stdin.close()
    made.process.stdout.close()
    made.process.wait(10)


@pytest.fixture(scope="session")
def module():
    """Give the zygote's own module, for what workers and tests share."""
    spec = importlib.util.spec_from_file_location("asof_crash_zygote", HERE / "zygote.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def group(module):
    return module.group


@pytest.fixture
def found_in(module):
    return module.found_in


@pytest.fixture
def both(module):
    return module.both
