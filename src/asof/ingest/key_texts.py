"""Keys that people type: texts become values of the key types."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from asof.arrow.types import arrow_type
from asof.definitions import FeatureGroup, FeatureView
from asof.definitions.types import DType
from asof.errors import DataError, UsageError
from asof.ingest.csv_file import from_text


def key_types(definition: FeatureGroup | FeatureView) -> Mapping[str, DType]:
    """Return the columns that name what is asked for, with their types."""
    return definition.spine_keys if isinstance(definition, FeatureView) else definition.entity.keys


def asked_types(definition: FeatureGroup | FeatureView) -> dict[str, DType]:
    """Return the keys, and what a view wants of a request, with their types."""
    requests = definition.requests if isinstance(definition, FeatureView) else {}
    return {**requests, **key_types(definition)}


def parted(
    definition: FeatureGroup | FeatureView, given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return keys, and what is of a request; None for a definition that wants nothing of one."""
    keys = key_types(definition)
    requests = asked_types(definition).keys() - keys.keys()
    if not requests:
        return dict(given), None
    own = {name: value for name, value in given.items() if name in requests}
    return {name: value for name, value in given.items() if name not in requests}, own


def key_values(types: Mapping[str, DType], given: Mapping[str, str]) -> dict[str, Any]:
    """Return texts as values of the key types; an empty text is None. Unknown names stay texts: the store names them.

    Raises:
        UsageError: A text does not fit its type.
    """
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
    """Return bytes that were written in base64, as JSON has them."""
    try:
        return base64.b64decode(text, validate=True) if text else None
    except binascii.Error as error:
        todo = "write it in base64, as --json shows it"
        raise UsageError(f"key {name}={text!r} is no bytes", todo=todo) from error
