# pyarrow.compute is made when it is imported: 300 functions that take columns, scalars or plain values and give
# a column or a scalar accordingly. `Any` is the honest type.

from typing import Any

def __getattr__(name: str) -> Any: ...
