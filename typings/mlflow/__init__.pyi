# MLflow may not be installed; what we use of it takes and gives anything.
from typing import Any

def __getattr__(name: str) -> Any: ...
