"""Environments of their own, for what would change the packages of .venv; see try_orchestrators.py and try_torch.py."""

import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def install(folder: Path, packages: list[str], *, extras: str = "") -> Path:
    """Make an environment with packages and asof, if it is not there; return its Python."""
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        print(f"installing {', '.join(packages)} and asof into {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq", "install"]
        if subprocess.run([*pip, *packages, "-e", f"{ROOT}{extras}"], check=False).returncode:
            raise SystemExit(f"{', '.join(packages)} cannot be installed here")
        (folder / "installed").touch()
    return python


def told(true: object, what: str) -> None:
    """Say what was shown, or that it is not so."""
    if not true:
        raise SystemExit(f"NOT SO: {what}")
    print(what, flush=True)
