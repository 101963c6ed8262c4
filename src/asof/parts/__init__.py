"""The parts of a store, opened by name, and the pinned history that they share."""

from asof.parts.open import Parts, open_parts
from asof.parts.pinned import pinned_rows, table_of

__all__ = ["Parts", "open_parts", "pinned_rows", "table_of"]
