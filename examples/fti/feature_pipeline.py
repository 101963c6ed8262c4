"""Feature pipeline: register the definitions, and take what is new at the sources. Run it as often as you like."""

import flights


def run(store):
    store.apply(flights.FOLDER / "features.py")
    # The first run takes history, known since it happened; later ones what arrives now, known from now on.
    history = not store.catalog.commits("landings")
    for group in ("weather", "landings"):
        commits = store.materialize(group, backfill=history)
        print(f"{group}: {sum(commit.rows for commit in commits):,} rows are new")
    load = store.backfill if history else store.write
    commit = load("planes", flights.planes())
    print(f"planes: {commit.rows - commit.unchanged:,} of {commit.rows:,} rows changed")


if __name__ == "__main__":
    with flights.pipeline() as (opened, _):
        run(opened)
