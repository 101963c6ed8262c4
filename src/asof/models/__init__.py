"""Models: which features and which training set each was fitted on, and predictions that read just those."""

from asof.models.model import Model
from asof.models.models import Models
from asof.models.predictor import Prediction, Predictor

__all__ = ["Model", "Models", "Prediction", "Predictor"]
