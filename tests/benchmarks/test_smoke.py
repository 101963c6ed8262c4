"""The benchmarks run: tiny sizes, figures that mean nothing."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_benchmark_runs_and_the_page_shows_its_tables(tmp_path):
    page = tmp_path / "benchmarks.md"
    command = [sys.executable, ROOT / "benchmarks" / "run.py", "--quick", "--no-feast"]
    subprocess.run([*command, "--results", tmp_path / "results", "--page", page], check=True, timeout=400)
    results = {file.stem: json.loads(file.read_text()) for file in (tmp_path / "results").glob("*.json")}
    assert sorted(results) == [
        "big_point_in_time",
        "change_aware",
        "direct",
        "flight",
        "footprint",
        "hot_cold",
        "http_keys",
        "http_reads",
        "ingest",
        "layout",
        "object_storage",
        "online",
        "online_servers",
        "point_in_time",
        "push",
        "serving_log",
        "shapes",
        "small_commits",
        "soak",
    ]
    text = page.read_text()
    for name, result in results.items():
        picture = ET.parse(tmp_path / "benchmarks" / f"{name}.svg").getroot()
        told = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
        assert f"![{name}](benchmarks/{name}.svg)" in text
        assert all(table["title"] in told for table in result["tables"])
        assert result["quick"]
        for table in result["tables"]:
            assert table["rows"]
            assert f"## {table['title']}" in text
