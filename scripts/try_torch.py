"""Read training sets by PyTorch and Hugging Face, and predict with a net that was fitted on one: `make torch`.

PyTorch is 1 GB, so it has an environment of its own; with --environment FOLDER it stays for the next time. The package
is the build without CUDA where the index has one under that version; name another by --torch. What is tried is in
torch_checks.py.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from environments import install

TORCH = "torch==2.13.0"


def main() -> None:
    """Install what is needed, and run within."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, help="keep the environment in this folder")
    parser.add_argument("--torch", default=TORCH, help="the package, default: %(default)s")
    asked = parser.parse_args()
    folder = asked.environment or Path(tempfile.mkdtemp(prefix="asof-torch-"))
    try:
        python = install(folder.resolve(), [asked.torch, "datasets>=3"], extras="[sklearn]")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ASOF_", "HF_"))}
        said = {"PYTHONPATH": str(Path(__file__).parent), "HF_HOME": str(folder / "huggingface"), "HF_HUB_OFFLINE": "1"}
        within = [python, Path(__file__).with_name("torch_checks.py")]
        if subprocess.run(within, env=kept | said, check=False).returncode:
            raise SystemExit("it did not do what it should; see above")
    finally:
        if asked.environment is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
