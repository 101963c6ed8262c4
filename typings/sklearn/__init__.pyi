# scikit-learn ships no types, and those that pyright infers from its defaults are wrong (`early_stopping: str`).

from typing import Any

def __getattr__(name: str) -> Any: ...
