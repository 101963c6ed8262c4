"""The pipelines as a DAG of Airflow 3: features, then predictions, each hour. Training is a DAG of its own, weekly.

The variable FLIGHTS says in which folder, that all workers see, the pipelines lie. To retry a task is safe.
"""

import os

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag

FOLDER = os.environ.get("FLIGHTS", "/srv/flights")
MOMENT = "{{ dag_run.run_after.strftime('2013-%m-%dT%H:%MZ') }}"  # with sources of today, leave it out


def step(name):
    return BashOperator(task_id=name, bash_command=f"cd '{FOLDER}' && python {name}_pipeline.py {MOMENT}")


@dag(schedule="@hourly", catchup=False, default_args={"retries": 2})
def late_departures():
    step("feature") >> step("inference")


@dag(schedule="@weekly", catchup=False, default_args={"retries": 2})
def late_departures_training():
    step("training")


hourly, weekly = late_departures(), late_departures_training()
