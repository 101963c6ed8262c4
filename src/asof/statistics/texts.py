"""Texts of a column: which of them occur, and how long they are. Texts that come again are looked at once."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.statistics import distinct
from asof.statistics.distribution import (
    EMPTY,
    FEW,
    FEW_BYTES,
    SAMPLE_ROWS,
    TOP,
    Distribution,
    Sketch,
    Tally,
    bits,
    kept_counts,
    sampled_places,
    tallied,
)
from asof.statistics.hashes import text_buffers, text_numbers, value_numbers

LONGEST = 200
"""Characters of a text among the top values: of a longer one they are its first, with a mark."""

ASCII = 128
"""Bytes below are characters."""


class Texts(NamedTuple):
    """What is known of texts.

    Attributes:
        items: Which occur.
        lengths: How often each length does, in characters.
    """

    items: Distribution
    lengths: Tally


class _Counted(NamedTuple):
    """Different texts, in the order in which they came, and how often each of them did."""

    values: pa.Array
    counts: np.ndarray


def texts_spread(array: pa.Array) -> Texts:
    """Return the distribution of texts without nulls."""
    if not len(array):
        return Texts(Tally(np.empty(0, object), EMPTY.counts), EMPTY)
    lengths = _lengths(array)
    return Texts(_items(array, lengths), tallied(lengths))


def _items(array: pa.Array, lengths: np.ndarray) -> Distribution:
    if len(array) <= SAMPLE_ROWS:
        return _of_dictionary(_counted(array))
    places, weight = sampled_places(len(array))
    chosen = _counted(array.take(pa.array(places)))
    if len(chosen.values) <= FEW:
        return _of_dictionary(_counted(array))
    if 2 * len(chosen.values) < len(places):  # they come again: each is hashed once
        array = array.unique()
        lengths = _lengths(array)
    return _sketch(_cut(array, lengths), _short(chosen), weight)


def _of_dictionary(every: _Counted) -> Distribution:
    every = _short(every)
    if len(every.values) <= FEW and int(_lengths(every.values).sum()) <= FEW_BYTES:
        order = np.asarray(pc.array_sort_indices(every.values))  # by bytes, which is the order of Python's texts
        return Tally(_objects(every.values)[order], every.counts[order])
    return _sketch(every.values, every)


def _sketch(every: pa.Array, chosen: _Counted, weight: int = 1) -> Sketch:
    """Return the sketch of texts, of which some were counted, each for so many rows."""
    different = distinct.sketch_of(text_numbers(every), bits, least=len(chosen.values))
    values, counts, missed = chosen.values, chosen.counts * weight, 0
    if len(counts) > TOP:
        kept, missed = kept_counts(counts)
        values, counts = values.take(pa.array(kept)), counts[kept] - missed
    return Sketch({}, different, Tally(_objects(values), counts), missed, weight)


def _counted(array: pa.Array) -> _Counted:
    encoded = array.dictionary_encode()
    return _Counted(encoded.dictionary, np.bincount(np.asarray(encoded.indices), minlength=len(encoded.dictionary)))


def _short(texts: _Counted) -> _Counted:
    return texts._replace(values=_cut(texts.values, _lengths(texts.values)))


def _lengths(array: pa.Array) -> np.ndarray:
    ends, raw = text_buffers(array)
    if np.maximum.reduce(raw[int(ends[0]) : int(ends[-1])], initial=0) < ASCII:
        return np.diff(ends)
    return np.asarray(pc.utf8_length(array)).astype(np.int64)


def _objects(array: pa.Array) -> np.ndarray:
    found = np.empty(len(array), object)
    found[:] = array.to_pylist()
    return found


def _cut(array: pa.Array, lengths: np.ndarray) -> pa.Array:
    """Return texts of which the long ones are cut: two of them are the same only if all of their characters are."""
    if np.maximum.reduce(lengths) <= LONGEST:
        return array
    long = pa.array(lengths > LONGEST)
    texts = array.filter(long)
    cut = pc.utf8_slice_codeunits(texts, 0, LONGEST - 20).to_pylist()
    marked = [f"{text}... #{number:016x}" for text, number in zip(cut, value_numbers(texts).tolist(), strict=True)]
    return pc.replace_with_mask(array, long, pa.array(marked, array.type))
