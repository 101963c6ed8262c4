"""Protobuf: a compiled descriptor set (`protoc --include_imports --descriptor_set_out=FILE`) and a message's name.

Fields without presence (plain ones of proto3) are never null: what was not sent is zero or empty. Enumerations come as
their names, and google.protobuf's Timestamp and wrappers as what they wrap.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from asof.errors import MissingDependencyError, NotFoundError, UsageError
from asof.streams.formats.port import Decode, Decoding, Row
from asof.streams.formats.times import IntegerTimes

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError as error:
    raise MissingDependencyError("protobuf", extra="protobuf") from error

Native = Any
"""A message or descriptor of Protobuf."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


def decoder(decoding: Decoding) -> Decode:
    """Return what makes rows of messages."""
    kind = _kind(decoding)
    times = IntegerTimes(decoding.group, decoding.time_unit)

    def decode(value: bytes) -> list[Row]:
        message = kind()
        message.ParseFromString(value)
        return [times.read(_fields(message))]

    return decode


def _kind(decoding: Decoding) -> Native:
    text, where = decoding.text(), str(decoding.schema)
    if not decoding.message:
        raise UsageError("which message?", where=where, todo="name it: message=, or --message")
    files: Native = descriptor_pb2.FileDescriptorSet()
    pool: Native = descriptor_pool.DescriptorPool()
    try:
        files.ParseFromString(text)
        for file in files.file:
            pool.Add(file)
        names = [f"{file.package}.{each.name}".lstrip(".") for file in files.file for each in file.message_type]
    except Exception as error:
        raise UsageError(f"this is no set of descriptors: {error}", where=where) from error
    try:
        found = pool.FindMessageTypeByName(decoding.message)
    except KeyError:
        raise NotFoundError.named("message", decoding.message, names, where=where) from None
    return message_factory.GetMessageClass(found)


def _fields(message: Native) -> dict[str, Any]:
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Native, field: Native) -> object:
    value = getattr(message, field.name)
    if field.is_repeated:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            raise ValueError(f"field {field.name} is a map: declare no such feature")
        return [_value(each, field) for each in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(value, field)


def _value(value: Native, field: Native) -> object:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        if known is None:
            raise ValueError(f"{value} is none of {field.enum_type.name}")
        return known.name
    if field.message_type is None:
        return value
    name = field.message_type.full_name
    if name == "google.protobuf.Timestamp":
        if value.nanos % 1000:
            raise ValueError(f"{field.name} is no whole microsecond")
        return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    return value.value if name in _WRAPPERS else _fields(value)
