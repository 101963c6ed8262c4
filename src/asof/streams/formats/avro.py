"""Avro: with a schema the bare records, behind Confluent's header if that is wanted; without one, container files."""

import io
from typing import Any

import msgspec

from asof.errors import MissingDependencyError, UsageError
from asof.streams.formats.port import Decode, Decoding, Row
from asof.streams.formats.times import IntegerTimes

try:
    import fastavro
except ImportError as error:
    raise MissingDependencyError("fastavro", extra="avro") from error

HEADER_BYTES = 5
"""Confluent's: a zero, and the number of the schema in a registry that we do not ask."""

CONTAINER = b"Obj\x01"


def decoder(decoding: Decoding) -> Decode:
    """Return what makes rows of messages."""
    avro: Any = fastavro
    times = IntegerTimes(decoding.group, decoding.time_unit)
    schema: Any = None
    if decoding.schema is not None or decoding.format == "confluent-avro":
        text = decoding.text()
        try:
            schema = avro.parse_schema(msgspec.json.decode(text))
        except Exception as error:
            raise UsageError(f"this is no Avro schema: {error}", where=str(decoding.schema)) from error
    header = HEADER_BYTES if decoding.format == "confluent-avro" else 0

    def decode(value: bytes) -> list[Row]:
        if header and (len(value) < header or value[0]):
            raise ValueError("there is no header of Confluent's")
        if schema is None:
            if not value.startswith(CONTAINER):
                raise ValueError("it is no container file of Avro, and there is no schema to read it by")
            return [times.read(_record(each)) for each in avro.reader(io.BytesIO(value))]
        wire = io.BytesIO(value)
        wire.seek(header)
        row = _record(avro.schemaless_reader(wire, schema, None))
        if wire.tell() != len(value):
            raise ValueError(f"{len(value) - wire.tell()} bytes are left after the record: it has another schema")
        return [times.read(row)]

    return decode


def _record(found: Any) -> Row:  # noqa: ANN401 - whatever the schema says
    if not isinstance(found, dict):
        raise TypeError(f"a record is wanted, and not {type(found).__name__}")
    return found  # pyright: ignore[reportUnknownVariableType]
