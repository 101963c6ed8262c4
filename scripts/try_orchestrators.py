"""Run examples/orchestration in Airflow, Dagster and Kubeflow Pipelines, and examples/fti: `make orchestrators`.

They are installed into environments of their own, since they would change the packages of .venv: 1.5 GB, and some
minutes. With --environments FOLDER these stay for the next time.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

from environments import ROOT, install, told

import asof
from asof.clock import system_clock
from asof.demo.source import copy, example

EXAMPLES = ROOT / "examples" / "orchestration"
PACKAGES = {"airflow": ["apache-airflow>=3"], "others": ["dagster>=1.10", "kfp>=2.10"]}
"""What each environment holds, beside the extra `demo`: those two get along with each other."""

ENVIRONMENT = {"airflow": "airflow", "fti": "airflow", "dagster": "others", "kubeflow": "others"}
HEADER = "origin,time_hour,temp,visib\n"


def run(name: str, python: Path) -> None:
    """Run one example with its own Python, in a new folder."""
    with tempfile.TemporaryDirectory(prefix=f"asof-{name}-") as folder:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ASOF_", "AIRFLOW", "PYTHON"))}
        said = {
            "ASOF_STORE": f"{folder}/store",
            "ASOF_INBOX": folder,
            "PYTHONPATH": str(EXAMPLES),
            "AIRFLOW_HOME": f"{folder}/airflow",
            "AIRFLOW__CORE__DAGS_FOLDER": f"{folder}/dags",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",  # seconds
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "FLIGHTS": f"{folder}/flights",
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "DAGSTER_HOME": "",
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        }
        within = [python, __file__, "--within", name]
        if subprocess.run(within, env=kept | said, cwd=folder, check=False).returncode:
            raise SystemExit(f"{name}: it did not do what it should; see above")


def arrivals():
    """Make the store and the files of two days; return the days: the rows of the second break a check."""
    with asof.open(os.environ["ASOF_STORE"]) as store:
        store.apply(EXAMPLES / "features.py")
    midnight = system_clock().replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight - timedelta(days=back) for back in (1, 2)]
    for day, temp in zip(days, (41.0, 410.0), strict=True):
        times = [day + timedelta(hours=hour) for hour in (22, 23)]
        rows = [f"{origin},{time.isoformat()},{temp},10.0\n" for time in times for origin in ("JFK", "LGA")]
        Path(os.environ["ASOF_INBOX"], f"weather-{day:%Y-%m-%d}.csv").write_text(HEADER + "".join(rows))
    return days


def stored():
    """Return how many commits and rows the groups have, and what is served."""
    with asof.open(os.environ["ASOF_STORE"], create=False) as store:
        counts = [(each.group, each.rows) for each in store.catalog.commits()]
        return sorted(counts), store.online("departure", {"origin": "JFK"}).values


ONE_DAY = ([("comfort@1", 4), ("weather@1", 4)], {"temp": 41.0, "celsius": 5.0, "fog": False})


def dags_of(folder: Path):
    """Make Airflow's database, give it the DAGs of a folder, and return their module."""
    dags = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    dags.mkdir()
    shutil.copy(folder / "airflow_dag.py", dags)
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    sys.path.insert(0, str(dags))
    return import_module("airflow_dag")


def ended(pipeline, logical_date, run_after):
    """Run a DAG once, and return how its tasks ended."""
    done = pipeline.test(logical_date=logical_date, run_after=run_after)
    return {each.task_id: str(each.state) for each in done.get_task_instances()}


def airflow() -> None:
    """Run the DAG by `dag.test()`: a good day, the same run again, and a day whose file is bad."""
    good, bad = arrivals()
    pipeline = dags_of(EXAMPLES).pipeline

    def states(day):
        return ended(pipeline, day, day + timedelta(days=1))

    steps = dict.fromkeys(("validate", "good", "write", "materialize", "verify", "proven"), "success")
    told(states(good) == steps, f"Airflow: a good file: {', '.join(steps)}")
    told(stored() == ONE_DAY, f"Airflow: what came out: {ONE_DAY}")
    told(states(good) == steps and stored() == ONE_DAY, "Airflow: the same run again stores nothing")
    skipped = steps | dict.fromkeys(("write", "materialize", "verify", "proven"), "skipped")
    told(states(bad) == skipped and stored() == ONE_DAY, "Airflow: a bad file: the rest of the run is skipped")


def fti() -> None:
    """Run the DAGs of `asof init --template fti`: before there is a model, training, an hour, the same hour again."""
    folder = Path(os.environ["FLIGHTS"])
    copy(example("fti"), folder)
    dags = dags_of(folder)
    noon = datetime(2013, 12, 30, 18, tzinfo=UTC)

    def run_of(pipeline, hour):
        return ended(pipeline, hour, hour)

    def commits():
        with asof.open(folder / "store", create=False) as store:
            return len(store.catalog.commits())

    first = {"feature": "success", "inference": "failed"}
    told(run_of(dags.hourly, noon) == first, "fti: before there is a model the features are made, inference fails")
    told(run_of(dags.weekly, noon) == {"training": "success"}, "fti: training")
    both, later = dict.fromkeys(first, "success"), noon + timedelta(hours=1)
    told(run_of(dags.hourly, later) == both, "fti: an hour later: features and predictions")
    files, before = sorted(file.name for file in (folder / "predictions").iterdir()), commits()
    told(files == ["2013-12-30T1900.parquet"], f"fti: predictions are in {files}")
    told(run_of(dags.hourly, later) == both, "fti: the same hour again")
    told(commits() - before <= 1, "fti: nothing is stored twice")


def dagster() -> None:
    """Materialize the assets of a good day, of the same day again, and of a day whose file is bad."""
    good, bad = arrivals()
    example, package = import_module("dagster_assets"), import_module("dagster")
    assets = [example.weather, example.comfort, example.online_equals_history]

    def well(day):
        return package.materialize(assets, partition_key=f"{day:%Y-%m-%d}", raise_on_error=False).success

    told(well(good) and stored() == ONE_DAY, f"Dagster: a good file: {ONE_DAY}")
    told(well(good) and stored() == ONE_DAY, "Dagster: the same partition again stores nothing")
    told(not well(bad) and stored() == ONE_DAY, "Dagster: a bad file fails, and nothing is stored")


def kubeflow() -> None:
    """Compile the pipeline, and call its components: there is no cluster here."""
    good, bad = arrivals()
    example = import_module("kubeflow_component")
    example.compiler.Compiler().compile(example.weather, "weather.yaml")
    told("pip install" in Path("weather.yaml").read_text(), "Kubeflow: the pipeline compiles")
    store, inbox = os.environ["ASOF_STORE"], os.environ["ASOF_INBOX"]

    def loaded(day):
        return example.load.python_func(store, "weather", f"{inbox}/weather-{day:%Y-%m-%d}.csv", f"job of {day}")

    told(loaded(good) == loaded(good) == "weather@1:1", "Kubeflow: a component that is run again stores nothing")
    told(example.make.python_func(store, "comfort", "departure") == 4 and stored() == ONE_DAY, f"Kubeflow: {ONE_DAY}")
    try:
        said = loaded(bad)
    except ValueError as error:
        said = str(error)
    told("temp between" in said and stored() == ONE_DAY, "Kubeflow: a bad file fails, and nothing is stored")


EXAMPLE = {"airflow": airflow, "fti": fti, "dagster": dagster, "kubeflow": kubeflow}


def main() -> None:
    """Install and run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="airflow, fti, dagster, kubeflow; default: all")
    parser.add_argument("--environments", type=Path, help="keep the environments in this folder")
    parser.add_argument("--within", choices=EXAMPLE, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.within:
        EXAMPLE[asked.within]()
        return
    unknown = sorted(set(asked.names) - set(EXAMPLE))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(EXAMPLE)}")
    folder = asked.environments or Path(tempfile.mkdtemp(prefix="asof-orchestrators-"))
    try:
        for name in asked.names or EXAMPLE:
            environment = ENVIRONMENT[name]
            run(name, install(folder.resolve() / environment, PACKAGES[environment], extras="[demo]"))
    finally:
        if asked.environments is None:
            shutil.rmtree(folder, ignore_errors=True)
    print("the examples of orchestration do what docs/orchestration.md says")


if __name__ == "__main__":
    main()
