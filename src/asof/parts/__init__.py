"""The parts of a store, opened by name, and the pinned history that they share."""

from asof.parts.open import Parts, open_online, open_parts
from asof.parts.pinned import pinned_rows, table_of
from asof.parts.question import Question, resolve

__all__ = ["Parts", "Question", "open_online", "open_parts", "pinned_rows", "resolve", "table_of"]
