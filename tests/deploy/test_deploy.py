"""What docs/deploy.md says is so: the team comes up, survives, and is restored; the unit is one that systemd takes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import need

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_the_team_comes_up_survives_and_is_restored():
    for program in ("haproxy", "postgres", "redis-server"):
        need(program)
    done = subprocess.run([sys.executable, ROOT / "scripts" / "team.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit():
    unit = ROOT / "deploy" / "asof.service"
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "asof.service" in line and "not executable" not in line]
    assert not said
