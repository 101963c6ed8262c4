"""The pipeline as a DAG of Airflow 3: one file a day, checked, written, made into features, and proven.

The variables ASOF_STORE (a folder that all workers see, or a server's URL) and ASOF_INBOX (where the files arrive) say
where. A task that is tried again does nothing twice: the run's id is the idempotency key.
"""

import os

from airflow.sdk import dag, task

from asof import pipelines

STORE = os.environ["ASOF_STORE"]
FILE = os.environ["ASOF_INBOX"] + "/weather-{{ ds }}.csv"  # the day of the run


@task.short_circuit
def good(verdict):
    """Skip the rest of the run if the file broke a check."""
    print(verdict["report"])
    return verdict["passed"]


@task
def proven(found):
    """Fail the run if online differs from history."""
    if not found["passed"]:
        raise RuntimeError(found["report"])


@dag(schedule="@daily", catchup=False, default_args={"retries": 2})
def weather():
    checked = good(task(pipelines.validate)(STORE, "weather", FILE))
    written = task(pipelines.write)(STORE, "weather", FILE, idempotency_key="weather {{ run_id }}")
    made = task(pipelines.materialize)(STORE, "comfort")
    found = task(pipelines.verify)(STORE, "departure")
    checked >> written >> made >> found
    proven(found)


pipeline = weather()
