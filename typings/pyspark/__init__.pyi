# PySpark may not be installed; what we use of it, and `Any` for what is in between.
from typing import Any

class SparkContext:
    defaultParallelism: int
    _active_spark_context: Any
    _jsc: Any
    @staticmethod
    def _ensure_initialized(*args: Any) -> None: ...

class TaskContext:
    @staticmethod
    def get() -> TaskContext | None: ...
    def attemptNumber(self) -> int: ...
