from typing import Any

class DatasetSource:
    def to_dict(self) -> dict[str, Any]: ...
