"""Take the pictures of docs/ui.md: pages of the demo's store at the demo's time, in the system's chromium."""

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


def main():
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=DOCS, help="where they go")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        run(Path(made) / "flights", quick=True, console=Console(quiet=True))
        with asof.open(Path(made) / "flights", clock=lambda: NOW.replace(day=31)) as store, served(store) as address:
            browser = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
            for name, (path, scheme, width, height) in PICTURES.items():
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.goto(address + path)
                page.screenshot(path=folder / name)
                size = (folder / name).stat().st_size
                print(f"{name}: {size:,} bytes")
                if size > MOST_BYTES:
                    sys.exit(f"{name} is larger than {MOST_BYTES:,} bytes")
            browser.close()


if __name__ == "__main__":
    main()
