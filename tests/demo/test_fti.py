"""`asof init --template fti`: three pipelines as processes of their own, which meet in the store."""

import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner
from pyarrow import parquet

import asof
from asof.cli.app import app
from asof.demo.source import example

pytestmark = pytest.mark.slow

LATER = '''
"""A hundred later commits: landings that came late, some of them taken for history, and planes that changed."""

from datetime import timedelta

import asof
import flights
import pyarrow as pa
import pyarrow.compute as pc
from asof.demo.source import load

data, register = load("data"), flights.planes()
known = data.arrival_events()
corrected = pc.add(known["arr_delay"], 90)
known = known.set_column(known.schema.get_field_index("arr_delay"), "arr_delay", corrected)
data.arrival_events = lambda: known

now = flights.NOW
with asof.open("store", clock=lambda: now) as store:
    before = len(store.catalog.commits())
    for number in range(50):
        now += timedelta(minutes=2)
        end = flights.NOW - timedelta(days=2 + number // 2, hours=number % 6)
        store.materialize("landings", end - timedelta(hours=1), end, backfill=number % 2 == 0)
        seats = pa.array([number] * len(register), pa.int64())
        store.write("planes", register.set_column(register.schema.get_field_index("seats"), "seats", seats))
    print(len(store.catalog.commits()) - before)
'''

REBUILD = """
import flights
import inference_pipeline
from datetime import timedelta

with flights.pipeline() as (store, now):
    made = store.training_set("departures")
    print(made.digest == made.rebuild().digest, made.ref)
    inference_pipeline.run(store, now)
    inference_pipeline.run(store, now + timedelta(hours=10))  # at night
"""

PIPELINES = ("feature", "training", "inference")


def python(folder, *words, code=0):
    """Run Python in a folder, as one of many processes; return what it says: on standard output, or of an error."""
    one_thread = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=one_thread, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == code, done.stderr
    assert code or not done.stderr, done.stderr
    return done.stderr if code else done.stdout


@pytest.fixture
def project(tmp_path):
    result = CliRunner().invoke(app, ["init", "--template", "fti", str(tmp_path / "p")])
    assert result.exit_code == 0, result.output
    told = [line.strip() for line in result.output.partition("next:\n")[2].splitlines()]
    assert told[1:] == ['pip install "asof[demo]"', *(f"python {each}_pipeline.py" for each in PIPELINES)]
    return tmp_path / "p"


@pytest.mark.begun_first
def test_three_processes_meet_in_the_store_and_both_sides_agree_to_the_bit_whatever_comes_later(project):
    said = python(project, "feature_pipeline.py")
    assert said.splitlines()[1] == "landings: 81,344 rows are new"
    said = python(project, "feature_pipeline.py")  # once more: what is there is not written again
    assert said == "weather: 0 rows are new\nlandings: 0 rows are new\nplanes: 0 of 3,322 rows changed\n"

    assert "late-departures@1: ROC AUC" in python(project, "training_pipeline.py")
    with asof.open(project / "store", create=False) as store:
        model = store.models.get("late-departures@production")
        assert (model.version, model.training_set) == (1, "departures@1")
        assert 0.6 < model.metrics["roc_auc"] < 0.75  # more would be a leak

    said = python(project, "inference_pipeline.py")
    assert said.startswith("late-departures@1: 69 predictions in predictions/2013-12-30T1800.parquet\n")
    in_batch, online = re.findall(r"  (\S+) (?:in the batch|online)", said)
    assert in_batch == online
    assert said.endswith("69 of 69 are the same online, to the bit\n")
    assert parquet.read_table(project / "predictions" / "2013-12-30T1800.parquet").num_rows == 69

    (project / "later.py").write_text(LATER)
    (project / "rebuild.py").write_text(REBUILD)
    assert python(project, "-W", "ignore", "later.py") == "100\n"  # it would warn of rows that come late
    said = python(project, "rebuild.py", "2013-12-30T20:00Z").splitlines()
    assert said[0] == "True departures@1"
    same, of = re.findall(r"(\d+) of (\d+) are the same online", said[-3])[0]
    assert same == of != "0"
    assert said[-2:] == [
        "late-departures@1: 0 predictions in predictions/2013-12-31T0600.parquet",
        "0 of 0 are the same online, to the bit",
    ]


def test_the_three_pipelines_and_what_they_share_are_short():
    files = {file.name: len(file.read_text().splitlines()) for file in example("fti").glob("*.py")}
    assert set(files) == {"airflow_dag.py", "features.py", "flights.py", *(f"{each}_pipeline.py" for each in PIPELINES)}
    assert max(files.values()) <= 62


def test_a_pipeline_names_the_one_that_has_not_run(project):
    assert python(project, "training_pipeline.py", code=1).endswith("Has feature_pipeline.py run before?\n")
    assert python(project, "inference_pipeline.py", code=1).endswith("Has training_pipeline.py run before?\n")
    with asof.open(project / "store") as store:
        assert store.catalog.groups() == []
    python(
        project, "-c", f"import asof; asof.open('store').apply({str(project / 'features.py')!r})"
    )  # it died after apply
    said = python(project, "training_pipeline.py", code=1)
    assert said == "there are no landings to learn from [group landings]\nHas feature_pipeline.py run before?\n"


def test_a_moment_that_is_none_is_refused(project):
    said = python(project, "feature_pipeline.py", "yesterday", code=1)
    assert said == "the moment 'yesterday' is no time -> write it as 2013-12-30T23:00:00Z\n"


def test_only_training_and_inference_need_scikit_learn(project):
    without = "import sys, runpy; sys.modules['sklearn'] = None; sys.path.insert(0, ''); sys.argv = ['x']; runpy.run_path('{}', run_name='__main__')"
    assert "rows are new" in python(project, "-c", without.format("feature_pipeline.py"))
    said = python(project, "-c", without.format("training_pipeline.py"), code=1)
    assert "MissingDependencyError: the package 'scikit-learn' is not installed -> pip install \"asof[demo]\"" in said


def test_a_bare_store_has_no_template(tmp_path):
    result = CliRunner().invoke(app, ["init", "--bare", "--template", "fti", str(tmp_path / "p")], prog_name="asof")
    assert result.exit_code == 2
    assert "a bare store has no template 'fti'" in result.stderr
    assert not list(tmp_path.iterdir())
