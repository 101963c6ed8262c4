"""The leakage report: what may tell a model more than it will know is found, and what may not is not."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from asof import Entity, Feature, FeatureGroup, FeatureView, GroupSplit, RandomSplit, TimeSplit
from asof.training.sets.leakage import auc_of, r2_of, ranks

ROWS = 400


@pytest.fixture
def made(store, at):
    """Give a maker of a training set of ROWS tails, an hour each: y is noise of two values, z is noise."""
    plane = Entity("plane", keys={"tail": "string"})
    names = ("noise", "told", "holes", "text")
    types = ("float64", "float64", "float64", "string")
    group = FeatureGroup(
        "facts", entity=plane, event_time="at", features=[Feature(n, t) for n, t in zip(names, types, strict=True)]
    )
    store.apply(group, FeatureView("v", features=[group]))
    random = np.random.default_rng(5)
    y, z = random.integers(0, 2, ROWS), random.normal(size=ROWS)

    def make(label="y", *, late=False, shift=0.5, split=None, known="event"):
        rows = [
            {
                "tail": f"N{n % 100}", "at": at(n / 60), "noise": float(random.normal()), "text": "a",
                "told": float(y[n]) + 0.001 * n if label == "y" else float(z[n]) ** 3,
                "holes": None if y[n] else 1.0,
            }
            for n in range(ROWS)
        ]  # fmt: skip
        (store.write if late else store.backfill)("facts", rows)
        spine = [
            {"tail": f"N{n % 100}", "t": at((n + shift) / 60), "y": int(y[n]), "z": float(z[n])} for n in range(ROWS)
        ]
        return store.training_set("v-1", "v", spine, time="t", label=label, split=split, known=known)

    return make


def found(report):
    return {(leak.kind, leak.what) for leak in report.found}


def test_features_that_predict_alone_are_found(made):
    report = made().leakage()
    assert found(report) == {("predicts alone", "told"), ("predicts alone", "holes")}
    assert report.unmeasured == {"text": "type string"}
    measures = {leak.what: leak.measure for leak in report.leaks if leak.kind == "predicts alone"}
    assert measures["told"].startswith("AUC 1.000")
    assert measures["holes"] == "AUC 1.000 of its being null"
    text = str(report)
    assert "leakage of v-1@1: 2 of " in text
    assert "not measured: text (type string)" in text
    assert "two values: AUC of a feature, or of its being null; found from 0.97" in text
    assert "predicts alone" in report._repr_html_()


def test_a_numeric_label_is_measured_by_ranks_and_bins(made):
    report = made("z").leakage()
    assert found(report) == {("predicts alone", "told")}


def test_events_of_the_very_time_are_found(made):
    report = made(shift=0).leakage()
    assert ("self-event", "facts") in found(report)
    (leak,) = [each for each in report.leaks if each.kind == "self-event"]
    assert (leak.count, leak.of) == (ROWS, ROWS)


@pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")
def test_values_that_were_not_servable_yet_are_found(made):
    report = made(late=True).leakage()
    assert {("late value", name) for name in ("noise", "told", "text")} <= found(report)
    assert made(late=True, known="served").late() == {"noise": 0, "told": 0, "holes": 0, "text": 0}


def test_keys_in_several_parts_are_counted(made):
    report = made(split=RandomSplit((0.5, 0.5))).leakage()
    (leak,) = [each for each in report.leaks if each.kind == "keys in several parts"]
    assert (leak.what, leak.of, leak.found) == ("plane (tail)", 100, True)
    assert 80 <= leak.count <= 100
    report = made(split=GroupSplit("tail", (0.5, 0.5))).leakage()
    (leak,) = [each for each in report.leaks if each.kind == "keys in several parts"]
    assert (leak.count, leak.found) == (0, False)
    report = made(split=TimeSplit(shares=(0.5, 0.5))).leakage()
    (leak,) = [each for each in report.leaks if each.kind == "keys in several parts"]
    assert (leak.count, leak.found) == (100, False)


def test_the_measures_are_those_of_others():
    random = np.random.default_rng(1)
    values, target = random.integers(0, 9, 500).astype(float), random.integers(0, 2, 500).astype(float)
    area = roc_auc_score(target, values)
    assert auc_of(values, target) == pytest.approx(max(area, 1 - area))
    assert auc_of(values, np.ones(500)) == 0.5
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]
    assert r2_of(np.arange(1000.0), np.arange(1000.0)) > 0.99
    assert r2_of(random.normal(size=5000), random.normal(size=5000)) < 0.02
    assert r2_of(np.ones(10), np.arange(10.0)) == 0.0
