"""The measures of predictions beside outcomes. None of them is made up: what is not defined is left out."""

from sys import float_info

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

MEASURES = ("mae", "rmse", "bias", "r2", "auc", "log_loss", "brier", "accuracy")
"""In the order to show."""

EPSILON = float_info.epsilon
"""The least score, as scikit-learn has it, of which a logarithm is taken."""

EVEN = 0.5
"""A score from here on says yes."""


def of_numbers(outcome: Floats, predicted: Floats) -> dict[str, float]:
    """Return measures of numbers beside the numbers that came; both of shape (rows,), finite.

    `mae`, `rmse`, `bias` (mean of predicted - outcome) in the outcome's unit; `r2` = 1 - squared errors / squared
    distances of outcomes from their mean, left out where all outcomes are equal.
    """
    if not len(outcome):
        return {}
    errors = predicted - outcome
    squares = float(np.sum(np.square(errors)))
    found = {
        "mae": float(np.mean(np.abs(errors))),
        "rmse": float(np.sqrt(squares / len(errors))),
        "bias": float(np.mean(errors)),
    }
    spread = float(np.sum(np.square(outcome - np.mean(outcome))))
    return found if spread == 0 else {**found, "r2": 1 - squares / spread}


def of_scores(outcome: Flags, score: Floats) -> dict[str, float]:
    """Return measures of scores beside what happened or not; both of shape (rows,), finite.

    `auc`: the share of pairs, one that happened and one that did not, of which the first has the higher score, ties
    counting half; left out where only one of the two came. `log_loss` (natural logarithm; scores of 0 and 1 count as
    the nearest numbers between), `brier` and `accuracy` (yes from 0.5 on) only of scores within [0, 1].
    """
    if not len(outcome):
        return {}
    found = _auc(outcome, score)
    if score.min() < 0 or score.max() > 1:
        return found
    inner: Floats = np.clip(score, EPSILON, 1 - EPSILON)
    misses: Floats = score - outcome.astype(np.float64)
    said: Flags = score >= EVEN
    right: Floats = np.where(outcome, inner, 1 - inner)
    return {
        **found,
        "log_loss": float(-np.mean(np.log(right))),
        "brier": float(np.mean(misses * misses)),
        "accuracy": float(np.count_nonzero(said == outcome)) / len(outcome),
    }


def of_classes(right: Flags) -> dict[str, float]:
    """Return measures of named classes: `accuracy`, the share that was right."""
    return {"accuracy": float(np.mean(right))} if len(right) else {}


def _auc(outcome: Flags, score: Floats) -> dict[str, float]:
    yes = int(np.count_nonzero(outcome))
    no = len(outcome) - yes
    if not yes or not no:
        return {}
    ordered = np.sort(score)
    first = np.searchsorted(ordered, score, side="left")
    last = np.searchsorted(ordered, score, side="right")
    ranks: Floats = (first + last + 1) / 2  # from 1; of equal scores their mean
    return {"auc": float((np.sum(ranks[outcome]) - yes * (yes + 1) / 2) / (yes * no))}
