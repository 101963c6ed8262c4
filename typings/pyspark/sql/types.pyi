from typing import Any

class StructField:
    name: str
    dataType: Any

class StructType:
    names: list[str]
    fields: list[StructField]
