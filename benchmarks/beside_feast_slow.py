"""Beside Feast's default offline store, once after a warm-up: it takes minutes, so it runs with `--slow` only."""

import subprocess

from beside_feast import HERE, large


def run(folder, *, quick):
    """Return the table of this benchmark."""
    subprocess.run([HERE / "feast_env.sh"], check=True)
    return [large(folder, "file", 1, quick=quick)]
