"""Arrow IPC: a message is a stream of batches with their schema, and may hold many rows."""

import pyarrow as pa

from asof.streams.formats.port import Decode, Decoding

MOST_BYTES = 256 * 1024**2
"""What a message may be once it is decompressed."""


def decoder(decoding: Decoding) -> Decode:
    """Return what makes rows of messages."""
    del decoding
    return _decode


def _decode(value: bytes) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    size = 0
    with pa.ipc.open_stream(value) as reader:
        schema = reader.schema
        for batch in reader:
            size += batch.nbytes
            if size > MOST_BYTES:
                raise ValueError(f"it holds more than {MOST_BYTES:,} bytes")
            batch.validate(full=True)
            batches.append(batch)
    return pa.Table.from_batches(batches, schema=schema)
