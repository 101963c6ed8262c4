"""Tags and erasures on the command line."""

from datetime import UTC, datetime


def test_a_tag_is_made_listed_read_and_deleted(typed, document, error, project):
    assert "no tags yet" in typed("tag", project.store).stdout
    (made,) = document("tag", project.store, "2026-11", "--message", "the model")["tags"]
    assert (made["tag"], made["message"], made["commits"]) == ("2026-11", "the model", {"weather@1": 1})
    before = document("read", project.store, "weather")
    typed("retire", project.store, "weather", "origin=JFK", "--event-time", "now")
    typed("backfill", project.store, "weather", project.path("data/weather.csv"))
    assert document("read", project.store, "weather", "--commits", "2026-11")["data"] == before["data"]
    assert "the model" in typed("tag", project.store).stdout
    assert "did you mean '2026-11'" in error("read", project.store, "weather", "--commits", "2026-12")
    assert "already" in error("tag", project.store, "2026-11")
    assert "no row was touched" in typed("tag", project.store, "2026-11", "--delete").stdout
    assert document("tag", project.store) == {"tags": []}
    assert "which tag?" in error("tag", project.store, "--delete", code=2)


def test_a_tag_may_be_named_by_the_day(document, project):
    (made,) = document("tag", project.store, "nightly-%Y")["tags"]
    assert made["tag"] == f"nightly-{datetime.now(UTC).year}"  # noqa: TID251 - what the command does


def test_commits_are_found_by_words(document, typed, project):
    path = project.path("data/weather.csv")
    document("backfill", project.store, "weather", path, "--meta", "author=ana")
    assert [c["number"] for c in document("commits", project.store, "--matching", "ANA backfill")["commits"]] == [2]
    assert len(document("commits", project.store)["commits"]) == 2
    assert "no commits with these words" in typed("commits", project.store, "weather", "--matching", "bo").stdout


def test_forget_asks_counts_and_leaves_a_certificate(typed, document, error, project):
    rows = document("read", project.store, "weather")["data"]
    mine = sum(row["origin"] == "JFK" for row in rows)
    dry = document("forget", project.store, "airport", "origin=JFK", "--dry-run")
    assert (dry["erasure"], dry["finished_at"]) == (0, None)
    assert sum(each["rows"] for each in dry["erased"] if each["place"] == "history") == mine
    assert "pass --yes" in error("forget", project.store, "airport", "origin=JFK", code=2)
    assert len(document("read", project.store, "weather")["data"]) == len(rows)
    said = typed("forget", project.store, "airport", "origin=JFK", "--yes", "--reason", "asked by mail").stdout
    assert "erasure 1: 1 keys of airport" in said
    assert "asked by mail" in said
    left = document("read", project.store, "weather")["data"]
    assert left == [row for row in rows if row["origin"] != "JFK"]


def test_forget_takes_a_file_of_keys(document, error, project):
    keys = project.write("keys.csv", "origin\nJFK\nLGA\n")
    assert document("forget", project.store, "airport", "--keys", keys, "--yes")["keys"] == 2
    assert "which keys?" in error("forget", project.store, "airport", code=2)
    assert "did you mean 'airport'" in error("forget", project.store, "airports", "origin=JFK", "--yes")
