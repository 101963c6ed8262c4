"""What a user pays before the first feature: packages, megabytes, seconds to import; beside Feast."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from measure import Table, median

HERE = Path(__file__).parent
ROOT = HERE.parent
CORE = ROOT / ".bench" / "core"
FEAST = ROOT / ".bench" / "feast"

IMPORT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    del folder
    rounds = 1 if quick else 15
    installs = [("this environment", Path(sys.prefix), "asof", 1)] if quick else [("asof", core(), "asof", rounds)]
    if not quick and (FEAST / "done").exists():
        installs.append(("feast 0.67", FEAST, "feast", 3))  # it takes seconds: fewer rounds
    table = Table(
        "Installed size and start",
        "a plain install in an environment of its own; seconds are medians of fresh processes with warm files, and "
        "hold Python's own start",
        rounds,
    )
    for name, home, package, times in installs:
        installed = size_of(home)
        python, command = home / "bin" / "python", home / "bin" / package
        table.add(
            side=name,
            packages=installed["packages"],
            MB=round(installed["bytes"] / 1e6),
            import_s=median([imported(python, package) for _ in range(times + 1)][1:]),
            python_and_import_s=median([process(python, "-c", f"import {package}") for _ in range(times + 1)][1:]),
            help_s=median([process(command, "--help") for _ in range(times + 1)][1:]) if runs(command) else None,
        )
    return [table]


def core():
    """Make an environment with the core and nothing else; keep it while the requirements stay."""
    wanted = (ROOT / "requirements" / "core.txt").read_text()
    mark = CORE / "requirements.txt"
    if not mark.exists() or mark.read_text() != wanted:
        shutil.rmtree(CORE, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", CORE], check=True)
        pip(CORE, "install", "-r", ROOT / "requirements" / "core.txt")
        mark.write_text(wanted)
    pip(CORE, "install", "--no-deps", "--force-reinstall", ROOT)
    return CORE


def pip(home, *arguments):
    """Run pip in an environment."""
    quiet = ("--disable-pip-version-check", "--no-input", "-qq")
    subprocess.run([home / "bin" / "python", "-m", "pip", *quiet, *arguments], check=True)


def size_of(home):
    """Return how many packages are in an environment, and their bytes; Feast's were counted before its extras."""
    noted = home / "installed.json"
    if noted.exists():
        return json.loads(noted.read_text())
    done = subprocess.run([home / "bin" / "python", HERE / "installed.py"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def imported(python, package):
    """Return the seconds of an import, without Python's start."""
    done = subprocess.run([python, "-c", IMPORT.format(package)], check=True, capture_output=True, text=True, cwd="/")
    return float(done.stdout)


def process(*command):
    """Return the seconds of a process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd="/")
    return time.perf_counter() - start


def runs(command):
    """Return whether a command is there and works."""
    return command.exists() and not subprocess.run([command, "--help"], check=False, capture_output=True).returncode
