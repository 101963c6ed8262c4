"""Predictions as messages: what a model gave, beside the answers that it was given."""

from typing import Any

import msgspec

from asof.wire.online import One

PREDICT_PATH = "/v1/remote/predict"


class Predicted(msgspec.Struct, array_like=True):
    """What a model said of some key sets.

    Attributes:
        model: The version that predicted.
        values: What it gave for each, by name.
        answers: The features of each; the first has the card, if the client has it not.
    """

    model: str
    values: list[dict[str, Any]]
    answers: list[One]
