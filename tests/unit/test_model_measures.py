"""Measures of predictions: as scikit-learn has them, and left out where they are not defined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from asof.models.quality.measures import of_classes, of_numbers, of_scores

FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(st.lists(st.tuples(FINITE, FINITE), min_size=2, max_size=50))
def test_numbers_are_measured_as_scikit_learn_does(pairs):
    came, said = (np.array(each) for each in zip(*pairs, strict=True))
    found = of_numbers(came, said)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(came, said))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(came, said))
    assert found["bias"] == pytest.approx(sum(s - c for c, s in pairs) / len(pairs), abs=1e-6)
    if "r2" in found:
        assert found["r2"] == pytest.approx(metrics.r2_score(came, said), rel=1e-6, abs=1e-6)
    else:
        assert len(set(came)) == 1 or np.var(came) < 1e-20


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])), min_size=1, max_size=60))
def test_scores_are_measured_as_scikit_learn_does(pairs):
    came, said = np.array([c for c, _ in pairs]), np.array([s for _, s in pairs])
    found = of_scores(came, said)
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(came, said, pos_label=True))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(came, said, labels=[False, True]))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(came, said >= 0.5))
    if came.all() or not came.any():
        assert "auc" not in found
    else:
        assert found["auc"] == pytest.approx(metrics.roc_auc_score(came, said))
        wins = [(a > b) + (a == b) / 2 for a in said[came] for b in said[~came]]  # what it means, pair by pair
        assert found["auc"] == pytest.approx(sum(wins) / len(wins))


def test_scores_that_are_no_probabilities_have_an_order_and_no_more():
    assert of_scores(np.array([True, False]), np.array([3.0, -1.0])) == {"auc": 1.0}


def test_nothing_has_no_measure():
    none = np.array([])
    assert of_numbers(none, none) == of_scores(none.astype(bool), none) == of_classes(none.astype(bool)) == {}
