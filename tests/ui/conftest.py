"""Servers over three stores (small, the demo's, one with 5,000 features), and a real browser: Debian's chromium."""

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.conftest import need
from tests.server.conftest import Asof, Server

import asof
from asof import Check, Entity, Feature, FeatureGroup, FeatureView
from asof.aggregates import Count, Mean
from asof.clock import system_clock
from asof.testing.servers import program

SCREENSHOTS = Path(os.environ.get("ASOF_SCREENSHOTS", Path(__file__).parents[2] / ".bench" / "screenshots"))
"""Kept, to be looked at."""

NOW = system_clock().replace(microsecond=0)

MARKUP = '<script>alert("x")</script><b onmouseover=alert(1)>&amp;</b>'
"""In every text that somebody declares or stores: pages show it as it is."""


def made(folder):
    """Make a small store in which there is something of each kind, and return its folder."""
    customer = Entity("customer", keys={"customer_id": "int64"}, description=f"who buys {MARKUP}")
    shop = Entity("shop", keys={"shop_id": "string"})
    spending = FeatureGroup(
        "spending",
        entity=customer,
        event_time="at",
        features=[
            Feature("orders", "int64", description=f"how many {MARKUP}", unit="<i>", tags={"pii": MARKUP}),
            Feature("returned", "float64"),
            Feature("note", "string"),
        ],
        ttl="30d",
        online=True,
        owner=f"ana {MARKUP}",
        description=f"what customers spend {MARKUP}",
        tags={"domain": MARKUP},
        checks=[Check.between("orders", 0, 1000)],
    )
    visits = FeatureGroup(
        "visits", entity=shop, event_time="at", features=[Feature("customer_id", "int64"), Feature("paid", "float64")]
    )
    windows = FeatureGroup(
        "visit_windows",
        entity=customer,
        source=visits,
        features=[Count(over="1d"), Mean("paid", over="7d")],
        online=True,
    )
    outside = FeatureGroup(
        "outside", entity=customer, event_time="at", features=[Feature("x", "int64")], external="parquet:/nowhere/x"
    )
    secret = FeatureGroup(
        "secret", entity=customer, event_time="at", features=[Feature("s", "int64")], online=True, project="hidden"
    )
    sensor = FeatureGroup(
        "sensor",
        entity=shop,
        event_time="at",
        features=[Feature("heat", "float64"), Feature("kind", "string"), Feature("price", "decimal(8, 2)")],
        checks=[Check.between("heat", -40, 60)],
        on_violation="quarantine",
    )
    old = FeatureGroup("stale", entity=shop, event_time="at", features=[Feature("y", "int64")], ttl="1h", online=True)
    risk = FeatureView("risk", features=[spending["orders"], windows], log=1.0, description=f"for a model {MARKUP}")
    lone = FeatureView("lone", features=[old["y"]])
    with asof.open(folder) as store:
        store.apply(spending, visits, windows, outside, secret, sensor, old, risk, lone)
        for number in range(3):
            at = NOW - timedelta(hours=3 - number)
            rows = [
                {"customer_id": key, "at": at, "orders": key + number, "returned": key / 4, "note": MARKUP}
                for key in range(60)
            ]
            store.write("spending", rows, meta={"why": MARKUP})
        for number in range(4):
            at = NOW - timedelta(hours=4 - number)
            heats = [10.0 + number, None, 999.0 if number > 1 else 30.0, *range(20)]
            rows = [
                {"shop_id": f"s{place}", "at": at, "heat": heat, "kind": MARKUP, "price": Decimal(place)}
                for place, heat in enumerate(heats)
            ]
            store.write("sensor", rows)
        store.push("visits", [{"shop_id": "A", "at": NOW - timedelta(hours=1), "customer_id": 7, "paid": 2.5}])
        store.push("stale", {"shop_id": "A", "at": NOW - timedelta(days=2), "y": 1})
        store.push("secret", {"customer_id": 7, "at": NOW, "s": 42})
        more = FeatureGroup(
            "visits",
            entity=shop,
            event_time="at",
            features=[*visits.features, Feature("seconds", "int64", nullable=False)],
        )
        store.apply(more)
    return folder


def many(folder):
    """Make a store with 5,000 features in 500 groups, and 50 views; return its folder."""
    entities = [Entity(f"entity_{number:02}", keys={f"key_{number}": "int64"}) for number in range(20)]
    groups = [
        FeatureGroup(
            f"group_{number:03}",
            entity=entities[number % 20],
            event_time="at",
            features=[
                Feature(f"f{number:03}_{each}", "float64", unit="min", description=f"figure {each} of process {number}")
                for each in range(10)
            ],
            ttl="6h" if number % 3 == 0 else None,
            online=True,
            owner=f"team-{number % 7}",
            description=f"Figures of process {number}",
        )
        for number in range(500)
    ]
    views = [
        FeatureView(f"view_{number:02}", features=[groups[(number + 20 * each) % 500] for each in range(4)])
        for number in range(50)
    ]
    with asof.open(folder) as store:
        store.apply(*groups, *views)
        for number, group in enumerate(groups[:60]):
            row = {f"f{number:03}_{each}": float(each) for each in range(10)}
            store.push(group.name, [{f"key_{number % 20}": key, "at": NOW, **row} for key in range(5)])
    return folder


class Ui:
    """`asof ui` on a free port.

    Attributes:
        port: The port.
    """

    def __init__(self, folder):
        self.process = Asof("ui", str(folder), "--port", "0")
        line = next(line for line in self.process.stderr if "127.0.0.1:" in line)
        self.port = int(line.partition("127.0.0.1:")[2].partition(";")[0])
        while True:  # the port is told a moment before it answers
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                break
            time.sleep(0.05)

    request, get = Server.request, Server.get
    token = context = None

    def stop(self):
        self.process.send_signal(15)
        code = self.process.wait()
        self.process.stderr.close()
        return code


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Give a server over the small store; nothing is to be changed."""
    server = Server(made(tmp_path_factory.mktemp("small") / "store"), ["--no-flight"])
    yield server
    server.stop()


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """Give a server over a store with 5,000 features."""
    server = Server(many(tmp_path_factory.mktemp("large") / "store"), ["--no-flight"])
    yield server
    server.stop()


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """Give a server over the demo's store."""
    from rich.console import Console

    from asof.demo import run

    folder = tmp_path_factory.mktemp("demo") / "demo-store"
    with open(os.devnull, "w") as nothing:  # noqa: PTH123
        run(folder, quick=True, console=Console(file=nothing))
    server = Server(folder, ["--no-flight"])
    yield server
    server.stop()


@pytest.fixture(scope="session")
def driver():
    """Give the thread that drives the browser: Playwright's loop in that of pytest is in the way of all who have one."""
    with ThreadPoolExecutor(1, "playwright") as thread:
        yield thread


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run tests with a browser in the thread that drives it."""
    if "driver" not in pyfuncitem.fixturenames:
        return None
    given = pyfuncitem.funcargs
    wanted = {name: given[name] for name in pyfuncitem._fixtureinfo.argnames}
    given["driver"].submit(pyfuncitem.obj, **wanted).result()
    return True


@pytest.fixture(scope="session")
def chromium(driver):
    """Give a browser."""
    need("chromium")

    def begin():
        from playwright.sync_api import sync_playwright

        playwright = sync_playwright().start()
        return playwright, playwright.chromium.launch(executable_path=str(program("chromium")), args=["--no-sandbox"])

    playwright, browser = driver.submit(begin).result()
    yield browser
    driver.submit(browser.close).result()
    driver.submit(playwright.stop).result()


@pytest.fixture
def tab(chromium, driver):
    """Give what opens a tab of a window of its own; in the end no page may have had an error."""
    opened, errors = [], []

    def open_tab(**options):
        window = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        page = window.new_page()
        page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda found: errors.append(f"{found.status} {found.url}") if found.status >= 400 else None)
        opened.append(window)
        return page

    yield open_tab
    for window in opened:
        driver.submit(window.close).result()
    assert not errors
