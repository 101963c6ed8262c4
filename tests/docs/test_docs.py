"""What the docs show is what happens: their Python blocks run, and print what they say.

The ```python blocks of a page run in order, in one namespace and an empty folder. A ```text block right after one
is what it prints. A block that starts with `# not run` is left out, and so are other languages. One that starts with
`# NAME.py` is that file.
"""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*?$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.py)\n")
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def blocks(page):
    """Return (first line, code, expected output or None) of each Python block that runs."""
    text = page.read_text(encoding="utf-8")
    found = list(BLOCK.finditer(text))
    for at, block in enumerate(found):
        if block[1] != "python" or block[2].startswith("# not run"):
            continue
        after = found[at + 1] if at + 1 < len(found) else None
        shown = after is not None and after[1] == "text" and not text[block.end() : after.start()].strip()
        yield text[: block.start()].count("\n") + 2, block[2], after[2] if shown else None


def lines(text):
    return [line.rstrip() for line in text.strip("\n").splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if any(blocks(p))], ids=lambda p: str(p.relative_to(ROOT)))
def test_the_blocks_of_a_page_run_and_print_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for line, code, expected in blocks(page):
        if named := FILE.match(code):
            (tmp_path / named[1]).write_text(code, encoding="utf-8")
            continue
        printed = StringIO()
        with redirect_stdout(printed):
            # The line numbers of an error are those of the page.
            exec(compile("\n" * (line - 1) + code, str(page), "exec"), names)
        if expected is not None:
            assert lines(printed.getvalue()) == lines(expected), f"{page.name}, line {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    missing = [link for link, _ in LINK.findall(text) if not (page.parent / link).exists()]
    assert not missing


def test_every_page_is_reached_from_the_readme():
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        reached.add(page)
        links = {(page.parent / link).resolve() for link, _ in LINK.findall(page.read_text(encoding="utf-8"))}
        todo += [path for path in links if path.suffix == ".md" and path.exists() and path not in reached]
        folders = [path for path in links if path.is_dir()]
        todo += [path for folder in folders for path in folder.glob("*.md") if path not in reached]
    assert {page for page in PAGES if page not in reached} == set()


def test_readme_fits_one_screen():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 100
