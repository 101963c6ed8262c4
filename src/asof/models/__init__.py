"""Models: which features and which training set each was fitted on, and predictions that read just those."""

from asof.models.models import Models
from asof.models.predictor import Prediction, Predictor
from asof.training.model import Model

__all__ = ["Model", "Models", "Prediction", "Predictor"]
