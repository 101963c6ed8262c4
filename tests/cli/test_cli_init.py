"""`asof init` makes a project that works as it stands."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def commands(folder):
    return [line.strip() for line in (folder / "README.md").read_text().splitlines() if line.startswith("    asof ")]


@pytest.mark.slow
def test_the_five_commands_of_the_readme_work_as_they_stand(tmp_path):
    folder = tmp_path / "my project"
    subprocess.run(["asof", "init", folder], check=True, env=os.environ | {"PATH": PATH}, timeout=60)
    lines = commands(folder)
    assert [shlex.split(line)[1] for line in lines] == ["apply", "backfill", "historical", "online", "verify"]
    shown = []
    for line in lines:
        done = subprocess.run(
            line,
            shell=True,
            check=False,
            cwd=folder,
            env=os.environ | {"PATH": PATH},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, (line, done.stderr)
        assert done.stderr == ""
        shown.append(done.stdout)
    assert "144 rows" in shown[1]
    assert (folder / "training.csv").read_text().count("\n") == 9
    assert "PRESENT" in shown[3]
    assert "0 differences" in shown[4]


def test_it_makes_definitions_data_a_readme_and_a_store(document, tmp_path):
    made = document("init", tmp_path / "p")
    assert sorted(str(Path(f).relative_to(tmp_path / "p")) for f in made["files"]) == [
        "README.md",
        "data/departures.csv",
        "data/weather.csv",
        "features.py",
    ]
    assert (tmp_path / "p" / "store" / "asof.toml").exists()
    assert made["next"] == [f"cd {tmp_path / 'p'}", *commands(tmp_path / "p")]


def test_a_folder_with_anything_in_it_is_refused(error, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert "is not empty" in error("init", tmp_path, code=2)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_bare_makes_an_empty_store_alone(typed, tmp_path):
    typed("init", tmp_path / "s", "--bare")
    assert (tmp_path / "s" / "asof.toml").exists()
    assert not (tmp_path / "s" / "features.py").exists()
    assert "an empty store" in typed("ls", tmp_path / "s").stdout
    assert json.loads(typed("ls", tmp_path / "s", "--json").stdout) == {"groups": [], "views": []}
