"""Inference pipeline: predict the departures of an hour that are two hours away, as a batch and one by one."""

from datetime import timedelta

import flights
from pyarrow import parquet

KEYS = ("carrier", "origin", "dest", "tailnum")
LATE = "prediction_True"


def run(store, now):
    model = store.models.load("late-departures@production")
    due = flights.departures(now + flights.NOTICE, now + flights.NOTICE + timedelta(hours=1))
    batch = model.predict(due, time=now).to_arrow()
    file = flights.FOLDER / "predictions" / f"{now:%Y-%m-%dT%H%M}.parquet"
    file.parent.mkdir(exist_ok=True)
    parquet.write_table(batch, file)
    print(f"{model.model.ref}: {batch.num_rows} predictions in {file.parent.name}/{file.name}")

    # What a service does when somebody asks. Here it is asked for each of them, to compare.
    same, rows = 0, batch.to_pylist()
    for number, row in enumerate(rows):
        online = model.predict_one({key: row[key] for key in KEYS}, request={"hour": row["hour"]}).values[LATE]
        same += online == row[LATE]
        if number == 0:
            print(f"{row['carrier']} {row['flight']} to {row['dest']}, {row['sched_dep']:%H:%M} UTC, is late with")
            print(f"  {row[LATE]!r} in the batch\n  {online!r} online")
    print(f"{same} of {len(rows)} are the same online, to the bit")


if __name__ == "__main__":
    with flights.pipeline(after="training_pipeline.py") as (opened, moment):
        run(opened, moment)
