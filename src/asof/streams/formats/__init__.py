"""Formats of messages: from the bytes of one message to its rows."""

from asof.streams.formats.port import FORMATS, Decode, Format, decoder_of

__all__ = ["FORMATS", "Decode", "Format", "decoder_of"]
