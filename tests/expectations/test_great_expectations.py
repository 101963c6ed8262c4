"""Suites of Great Expectations, made and judged by that package itself, in an environment that has it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(sys.prefix) / "expectations"


@pytest.fixture
def python():
    """The Python that has the package; skip where it is not installed, and fail in CI, where nothing may be left out."""
    if not (FOLDER / "installed").exists():
        said = "Great Expectations is not installed, so this is not tested; to have it: make servers"
        if os.environ.get("CI"):
            pytest.fail(said, pytrace=False)
        pytest.skip(said)
    return FOLDER / "bin" / "python"


@pytest.mark.slow
@pytest.mark.begun_first
def test_verdicts_on_suites_are_those_of_great_expectations(python, tmp_path):
    within = Path(__file__).with_name("within.py")
    options = ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--basetemp", tmp_path / "in",
               "-o", "filterwarnings=default"]  # fmt: skip
    said = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        [python, "-m", "pytest", *options, within],
        env=said | {"GX_ANALYTICS_ENABLED": "false"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
