"""Names on the command line: which group or view is meant, and the types of its columns."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from asof.definitions import FeatureGroup, FeatureView
    from asof.definitions.types import DType
    from asof.store import Store


def find_group(store: "Store", name: str) -> "FeatureGroup | None":
    """Return the newest version of a group, or the version named ("weather@1"); None if there is none."""
    found = [group for group in store.catalog.groups() if name in (group.ref, group.definition.name)]
    return found[-1].definition if found else None


def find(store: "Store", name: str) -> "FeatureGroup | FeatureView":
    """Return the definition of a view, or of a group.

    Raises:
        NotFoundError: There is neither.
    """
    return store.catalog.find(name).definition


def key_types(definition: "FeatureGroup | FeatureView") -> Mapping[str, "DType"]:
    """Return the columns that name what is asked for, with their types."""
    from asof.definitions import FeatureView

    return definition.spine_keys if isinstance(definition, FeatureView) else definition.entity.keys


def feature_types(definition: "FeatureGroup | FeatureView") -> Mapping[str, Any]:
    """Return the features, by their output names, and keys with their Arrow types, for a CSV that has them."""
    from asof.arrow.types import arrow_type
    from asof.definitions import FeatureView, view_of_group

    view = definition if isinstance(definition, FeatureView) else view_of_group(definition)
    features = {name: ref.feature.dtype for name, ref in zip(view.output_names(), view.features, strict=True)}
    return {name: arrow_type(dtype) for name, dtype in {**key_types(definition), **features}.items()}


def known_mode(text: str | None) -> "str | datetime | None":
    """Return what `--known` says."""
    from asof.clock import parse_time

    return text if text in (None, "served", "event") else parse_time(text, what="--known")


def moment(text: str | None, option: str) -> "datetime | None":
    """Return a time that an option gave."""
    from asof.clock import parse_time

    return None if text is None else parse_time(text, what=option)


def key_values(definition: "FeatureGroup | FeatureView", given: Mapping[str, str]) -> dict[str, Any]:
    """Return texts as values of the key types; an empty text is None. Unknown names stay texts: the store names them.

    Raises:
        UsageError: A text does not fit its type.
    """
    import pyarrow as pa

    from asof.arrow.types import arrow_type
    from asof.errors import DataError, UsageError
    from asof.ingest.csv_file import from_text

    types = key_types(definition)
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in types:
            values[name] = text
            continue
        if types[name].name == "bytes":
            values[name] = _bytes_of(name, text)
            continue
        column = pa.chunked_array([pa.array([text or None], pa.string())])
        try:
            values[name] = from_text(column, arrow_type(types[name]), f"key {name}")[0].as_py()
        except DataError as error:
            raise UsageError(f"key {name}={text!r} is no {types[name]}", todo=error.todo) from error
    return values


def _bytes_of(name: str, text: str) -> bytes | None:
    """Return bytes that were written as `--json` writes them: in base64."""
    import base64
    import binascii

    from asof.errors import UsageError

    try:
        return base64.b64decode(text, validate=True) if text else None
    except binascii.Error as error:
        todo = "write it in base64, as --json shows it"
        raise UsageError(f"key {name}={text!r} is no bytes", todo=todo) from error
