"""Models in MLflow: logged with what they were fitted on, and loaded to read just that; see docs/models.md.

MLflow keeps what predicts, the store keeps the record of it. Importing this is light: MLflow itself is loaded when it
is asked.
"""

from asof.mlflow.loading import load
from asof.mlflow.logging import log_model
from asof.mlflow.tracking import connect

__all__ = ["connect", "load", "log_model"]
