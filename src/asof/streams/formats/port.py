"""What a format does, and which ones there are."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from asof.definitions import FeatureGroup
from asof.errors import NotFoundError, UsageError

Row = Mapping[str, Any]
"""A row as plain Python values; the foreign edge where Any is honest."""

Decode = Callable[[bytes], list[Row] | pa.Table]
"""Makes rows of a message; raises whatever it likes if it is none."""

TimeUnit = Literal["s", "ms", "us", "ns"]

Format = Literal["json", "avro", "confluent-avro", "protobuf", "arrow"]

FORMATS: tuple[Format, ...] = ("json", "avro", "confluent-avro", "protobuf", "arrow")

_MODULES = {"confluent-avro": "avro"}


class Decoding:
    """What a user says about messages.

    Attributes:
        group: The group of their rows.
        format: The format.
        schema: The file of the schema, if the format takes one.
        message: The name of the message in it, for Protobuf.
        time_unit: The unit of times that come as integers; None: they must not.
    """

    def __init__(
        self,
        group: FeatureGroup,
        format: str,  # noqa: A002 - the user's word
        *,
        schema: str | Path | None = None,
        message: str | None = None,
        time_unit: str | None = None,
    ) -> None:
        """Check what can be checked without the messages."""
        if format not in FORMATS:
            raise NotFoundError.named("format", format, FORMATS)
        if time_unit not in ("s", "ms", "us", "ns", None):
            raise UsageError(f"time_unit={time_unit!r} is not known", todo='use "s", "ms", "us" or "ns"')
        self.group = group
        self.format = format
        self.schema = None if schema is None else Path(schema)
        self.message = message
        self.time_unit = time_unit

    def text(self) -> bytes:
        """Return the content of the schema's file.

        Raises:
            UsageError: There is none, or it cannot be read.
        """
        if self.schema is None:
            raise UsageError(f"messages in {self.format} need a schema", todo="name its file: schema=, or --schema")
        try:
            return self.schema.read_bytes()
        except OSError as error:
            raise UsageError(f"the schema cannot be read: {error.strerror}", where=str(self.schema)) from error


def decoder_of(decoding: Decoding) -> Decode:
    """Return what makes rows of messages.

    Raises:
        UsageError: The schema makes no sense. MissingDependencyError: The format's package is not installed.
    """
    name = _MODULES.get(decoding.format, decoding.format)
    decode: Decode = import_module(f"asof.streams.formats.{name}").decoder(decoding)
    return decode
