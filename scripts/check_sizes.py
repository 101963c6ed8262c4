"""Fail when a file is too long to be read in one go (ask why at 300 lines, CI stops at 500)."""

import argparse
import sys
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folders", nargs="+", type=Path)
parser.add_argument("--max-lines", type=int, required=True)
arguments = parser.parse_args()

too_long = [
    f"{path}: {lines} lines, allowed are {arguments.max_lines}; what are its two jobs?"
    for folder in arguments.folders
    for path in sorted(folder.rglob("*.py"))
    if (lines := len(path.read_text(encoding="utf-8").splitlines())) > arguments.max_lines
]
sys.exit("\n".join(too_long) or None)
