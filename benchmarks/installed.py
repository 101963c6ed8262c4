"""Print how many packages are installed beside this Python, and their size; runs in any environment."""

import json
import sys
from importlib.metadata import distributions
from pathlib import Path

INSTALLERS = {"pip", "setuptools", "wheel"}

sizes = {}
for distribution in distributions():
    name = distribution.metadata["Name"].lower()
    if name in INSTALLERS:
        continue
    files = {str(distribution.locate_file(file)) for file in distribution.files or ()}
    sizes[name] = sum(Path(file).stat().st_size for file in files if Path(file).is_file())
json.dump({"packages": len(sizes), "bytes": sum(sizes.values()), "names": sorted(sizes)}, sys.stdout)
