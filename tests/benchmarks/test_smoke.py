"""The benchmarks run: tiny sizes, figures that mean nothing."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
RUN = ROOT / "benchmarks" / "run.py"


def names(which):
    """Return a list of names that the script has."""
    said = ast.parse(RUN.read_text(encoding="utf-8")).body
    return next(
        ast.literal_eval(each.value) for each in said if isinstance(each, ast.Assign) and each.targets[0].id == which
    )


@pytest.mark.begun_first
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sorted(name for name in names("NAMES") if name not in names("SLOW") and "feast" not in name)
)
def test_a_benchmark_runs_and_the_page_shows_its_tables(name, tmp_path):
    page = tmp_path / "benchmarks.md"
    command = [sys.executable, RUN, "--quick", "--only", name, "--results", tmp_path / "results", "--page", page]
    subprocess.run(command, check=True, timeout=400)
    (file,) = (tmp_path / "results").glob("*.json")
    result = json.loads(file.read_text())
    assert (file.stem, result["quick"]) == (name, True)
    text = page.read_text()
    picture = ET.parse(tmp_path / "benchmarks" / f"{name}.svg").getroot()
    told = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert f"![{name}](benchmarks/{name}.svg)" in text
    assert all(table["title"] in told for table in result["tables"])
    for table in result["tables"]:
        assert table["rows"]
        assert f"## {table['title']}" in text
