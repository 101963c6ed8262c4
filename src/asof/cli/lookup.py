"""Names on the command line: which group or view is meant, and the types of its columns."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from asof.definitions import FeatureGroup, FeatureView
    from asof.store import Store


def find_group(store: "Store", name: str) -> "FeatureGroup | None":
    """Return the newest version of a group, or the version named ("weather@1"); None if there is none."""
    found = [group for group in store.catalog.groups() if name in (group.ref, group.definition.name)]
    return found[-1].definition if found else None


def find(store: "Store", name: str) -> "FeatureGroup | FeatureView":
    """Return the definition of a view, or of a group; of references ("weather:temp,planes:seats") their view.

    Raises:
        NotFoundError: There is neither.
    """
    from asof.definitions.references import are_references
    from asof.parts import question_of

    find_one = store.catalog.find
    return question_of(name, find_one).view if are_references(name) else find_one(name).definition


def feature_types(definition: "FeatureGroup | FeatureView") -> Mapping[str, Any]:
    """Return the features, by their output names, and keys with their Arrow types, for a CSV that has them."""
    from asof.arrow.types import arrow_type
    from asof.definitions import FeatureView, view_of_group
    from asof.ingest.key_texts import key_types

    view = definition if isinstance(definition, FeatureView) else view_of_group(definition)
    return {name: arrow_type(dtype) for name, dtype in {**key_types(definition), **view.types}.items()}


def known_mode(text: str | None) -> "str | datetime | None":
    """Return what `--known` says."""
    from asof.clock import parse_time

    return text if text in (None, "served", "event") else parse_time(text, what="--known")


def moment(text: str | None, option: str) -> "datetime | None":
    """Return a time that an option gave."""
    from asof.clock import parse_time

    return None if text is None else parse_time(text, what=option)


def key_values(definition: "FeatureGroup | FeatureView", given: Mapping[str, str]) -> dict[str, Any]:
    """Return the texts of `KEY=VALUE` as values of the key types; see `asof.ingest.key_texts`.

    Raises:
        UsageError: A text does not fit its type.
    """
    from asof.ingest.key_texts import key_types, key_values

    return key_values(key_types(definition), given)


def asked_values(
    definition: "FeatureGroup | FeatureView", given: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the texts of `NAME=VALUE` as keys, and as what a view wants of a request; see `asof.ingest.key_texts`.

    Raises:
        UsageError: A text does not fit its type.
    """
    from asof.ingest.key_texts import asked_types, key_values, parted

    return parted(definition, key_values(asked_types(definition), given))
