"""External groups behind a server: the same answers, and places that only who may do all may declare."""

import pyarrow.parquet as pq
import pytest
from tests.client.conftest import Served, everybody
from tests.external.conftest import rows, spine, temps, weather

import asof
from asof.access.caller import EVERYBODY, Caller
from asof.errors import ConflictError, DataError, DeniedError, UsageError
from asof.server.limits import Limits
from asof.server.rights import check_declared

DAY = rows(("JFK", 1, 10.0), ("JFK", 3, 30.0), ("LGA", 2, 20.0))


@pytest.fixture
def remote(store):
    """Give the store behind a server."""
    server = Served(store, Limits(), everybody)
    with asof.open(server.url) as opened:
        yield opened
    server.stop()


@pytest.mark.slow
def test_a_remote_store_answers_the_same_and_reports_the_same(store, remote, files):
    pq.write_table(DAY, files / "a.parquet")
    remote.apply(weather(f"parquet:{files}"))
    asked = spine(("JFK", 2), ("JFK", 4), ("LGA", 1))
    here, there = (each.historical("weather", asked, time="at") for each in (store, remote))
    assert there.to_arrow().equals(here.to_arrow())
    assert there.commits == here.commits
    assert str(there.report.external["weather"]).startswith(f"parquet:{files}: 1 files")
    assert remote.read("weather", batch_rows=1).to_arrow().equals(store.read("weather").to_arrow())
    assert remote.catalog.find("weather").definition == store.catalog.find("weather").definition
    assert f"parquet:{files}" in str(remote.catalog.describe("weather"))
    pq.write_table(rows(("JFK", 1, 1.0), ("JFK", 1, 2.0)), files / "a.parquet")
    with pytest.raises(DataError, match="JFK"):
        temps(remote, ("JFK", 4))
    with pytest.raises(ConflictError, match="pinned"):
        temps(remote, ("JFK", 4), commits=here.commits)
    with pytest.raises(UsageError, match="write them there"):
        remote.write("weather", DAY)


def test_only_who_is_admin_of_all_projects_declares_or_moves_a_place(store):
    boss = Caller("key:boss", {"*": "admin"})
    own = Caller("key:own", {"fraud": "admin", "": "admin"})
    group = weather("parquet:/a", project="fraud")
    for caller in (boss, EVERYBODY):
        check_declared(store, caller, [group])
    with pytest.raises(DeniedError, match=r"'admin' in all projects.*external place of weather"):
        check_declared(store, own, [group])
    store.apply(group)
    check_declared(store, own, [weather("parquet:/a", project="fraud", owner="ana")])
    check_declared(store, own, [weather(None, project="fraud")])
    for moved in ("parquet:/b", "delta:/a", "postgresql://host/db?table=passwords"):
        with pytest.raises(DeniedError, match="in all projects"):
            check_declared(store, own, [weather(moved, project="fraud")])
