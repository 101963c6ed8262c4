class StructType:
    names: list[str]
