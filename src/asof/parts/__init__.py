"""The parts of a store, opened by name, and the pinned history that they share."""

from asof.parts.open import (
    Durable,
    Parts,
    open_durable,
    open_engine,
    open_history,
    open_models,
    open_online,
    open_parts,
    open_registry,
    process,
)
from asof.parts.pinned import (
    Kind,
    apart,
    pinned_rows,
    pinned_together,
    seen_pins,
    table_of,
    table_of_kind,
    tables_of,
)
from asof.parts.pins import Pins, given_pins, pin_of, refuse_unknown
from asof.parts.question import Question, definition, is_defined, question_of, resolve
from asof.parts.reopened import OfParts
from asof.parts.shaped import registered_as
from asof.parts.turns import rewriting

__all__ = [
    "Durable",
    "Kind",
    "OfParts",
    "Parts",
    "Pins",
    "Question",
    "apart",
    "definition",
    "given_pins",
    "is_defined",
    "open_durable",
    "open_engine",
    "open_history",
    "open_models",
    "open_online",
    "open_parts",
    "open_registry",
    "pin_of",
    "pinned_rows",
    "pinned_together",
    "process",
    "question_of",
    "refuse_unknown",
    "registered_as",
    "resolve",
    "rewriting",
    "seen_pins",
    "table_of",
    "table_of_kind",
    "tables_of",
]
