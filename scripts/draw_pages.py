"""Take the pictures of docs/ui.md and docs/quality.md, in the system's chromium.

The first are pages of the demo's store at the demo's time; the others are pages of `examples/flights/bad_file.py`,
taken while a row waits in quarantine, and at the end.
"""

import argparse
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from playwright.sync_api import sync_playwright
from rich.console import Console

import asof
from asof.demo import run
from asof.demo.context import NOW
from asof.demo.source import load
from asof.testing.servers import program
from asof.ui.serve import application

DOCS = Path(__file__).parents[1] / "docs"
MOST_BYTES = 100_000
WHY = "key.carrier=AA&at=2013-12-29T12:00&why=carrier_arrivals/count_6h"
PICTURES = {
    "ui-statistics.png": ("/groups/arrivals/statistics?feature=arr_delay&over=commits", "light", 1000, 760),
    "ui-lookup.png": (f"/groups/carrier_arrivals/lookup?{WHY}", "dark", 1000, 700),
    "ui-phone.png": ("/groups/arrivals", "light", 400, 760),
}
WAITING = {
    "quality-quarantine.png": ("/groups/weather/quarantine", "light", 1000, 420),
}
DRIFTED = {
    "quality-statistics.png": ("/groups/weather/statistics?feature=temp&over=commits", "light", 1000, 700),
    "quality-drift.png": ("/groups/weather/drift?baseline=winter", "light", 1000, 620),
}


@contextmanager
def served(store):
    """Serve the pages of a store, and give their address."""
    server = uvicorn.Server(uvicorn.Config(application(store), port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def take(browser, address, pictures, folder):
    """Take pictures of pages."""
    for name, (path, scheme, width, height) in pictures.items():
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.goto(address + path)
        page.screenshot(path=folder / name)
        size = (folder / name).stat().st_size
        print(f"{name}: {size:,} bytes")
        if size > MOST_BYTES:
            sys.exit(f"{name} is larger than {MOST_BYTES:,} bytes")


def demo(browser, made, folder):
    """Take the pictures of the demo's store."""
    run(made, quick=True, console=Console(quiet=True))
    with asof.open(made, clock=lambda: NOW.replace(day=31)) as store, served(store) as address:
        take(browser, address, PICTURES, folder)


def bad_file(browser, made, folder):
    """Take the pictures of the example of a bad file."""
    example = load("bad_file")
    clock = example.Clock()
    with asof.open(made, clock=clock) as store, served(store) as address:

        def look(line):
            if line.endswith("1 in quarantine"):
                take(browser, address, WAITING, folder)

        example.story(store, clock, load("features"), load("data").published_weather(), look)
        take(browser, address, DRIFTED, folder)


def main():
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DOCS, help="where they go")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        bad_file(browser, Path(made) / "weather", folder)
        demo(browser, Path(made) / "flights", folder)
        browser.close()


if __name__ == "__main__":
    main()
