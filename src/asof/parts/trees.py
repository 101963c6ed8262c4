"""The trees of a group that is made of events, as rows of the online store.

An entity's tree is a row for its root, and one for each other node. All have keys of 28 bytes: 20 of a hash of the
entity's key, and the number of the node; the root is number 0. Two further rows say what the trees keep, and how far
they are swept.
"""

import hashlib
import struct
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple, TypeVar

import msgspec
import pyarrow as pa

from asof.arrow.rows import from_wire
from asof.arrow.types import arrow_type
from asof.definitions.documents import group_document
from asof.errors import PermanentError
from asof.online.port import HEAD_BYTES, version_head
from asof.registry.registered import RegisteredGroup
from asof.windows import states
from asof.windows.aggregation import Aggregation
from asof.windows.functions import Function
from asof.windows.nodes import Branch, Leaf, Node
from asof.windows.shape import LONG_AGO, Shape, State
from asof.windows.tree import Tree
from asof.windows.values import packable, read_extension

SHAPE_KEY = b"shape"
"""The key of the row that says what the trees keep."""

BUILDING = b"building"
"""What that row begins with while they are built in parts."""

SWEPT_KEY = b"swept"
"""The key of the row that says until when no tree has events any more that no window reaches."""

_NUMBER = struct.Struct(">Q")
_TIME = struct.Struct(">q")
_PARTS = struct.Struct(">QQ")
_encode = msgspec.msgpack.Encoder().encode
_nodes = msgspec.msgpack.Decoder(Node, ext_hook=read_extension)
_roots = msgspec.msgpack.Decoder(tuple[int, Node], ext_hook=read_extension)

N = TypeVar("N")


class Built(NamedTuple):
    """How far trees are that are built in parts, each of which has all events of some entities.

    Attributes:
        parts: In how many.
        done: How many are there.
    """

    parts: int
    done: int = 0


class Trees:
    """How the trees of a group lie in the online store.

    Attributes:
        group: The group.
        source: The group of its events.
        shape: What the trees keep.
    """

    def __init__(self, group: RegisteredGroup) -> None:
        """Lay them out."""
        assert group.source is not None  # noqa: S101 - callers looked
        self.group = group
        self.source = group.source
        features = {feature.name: feature for feature in group.definition.features}
        aggregations = [made for name in group.layout if (made := features[name].aggregation) is not None]
        self._types = {name: arrow_type(dtype) for name, dtype in self.source.definition.types.items()}
        converters = {name: convert for name, dtype in self._types.items() if (convert := from_wire(dtype)) is not None}
        self.shape = Shape(aggregations, self._algebra, converters)

    def _algebra(self, aggregation: Aggregation) -> Function[State]:
        of = None if aggregation.column is None else self._types[aggregation.column]
        if of is not None and pa.types.is_decimal(of):
            return aggregation.algebra(of.scale)
        return aggregation.algebra(None if of is not None and pa.types.is_floating(of) else 0)

    @cached_property
    def mark(self) -> bytes:
        """What the trees keep, as a row: trees that were made otherwise cannot be read."""
        document = group_document(self.group.definition, {self.source.definition.name: self.source.version})
        made = {each["name"]: each["aggregation"] for each in document["features"]}
        kept = [made[name] for name in self.group.layout], document["source_keys"], states.VERSION
        return version_head(0, 0) + hashlib.sha256(repr(kept).encode()).digest()

    def building(self, built: Built) -> bytes:
        """Return that row while the trees are built in parts."""
        return self.mark[:HEAD_BYTES] + BUILDING + _PARTS.pack(*built) + self.mark[HEAD_BYTES:]

    def built(self, mark: bytes | None) -> Built | None:
        """Return how far the trees are, if that row says that what they keep is built in parts."""
        start = HEAD_BYTES + len(BUILDING)
        if mark is None or len(mark) < start + _PARTS.size:
            return None
        built = Built(*_PARTS.unpack_from(mark, start))
        return built if mark == self.building(built) else None

    def part(self, entity: bytes, parts: int) -> int:
        """Return in which of so many parts an entity's tree is built."""
        return _NUMBER.unpack_from(self.key(entity))[0] % parts

    def key(self, entity: bytes, number: int = 0) -> bytes:
        """Return the key of a node of an entity's tree."""
        return hashlib.blake2b(entity, digest_size=20).digest() + _NUMBER.pack(number)

    def tree(self, entity: bytes, root: bytes | None, get: Callable[[bytes], bytes | None]) -> Tree:
        """Return an entity's tree.

        Args:
            entity: Its key.
            root: The row of its root; None if it has none.
            get: Gives the row of a node's key.
        """
        prefix = self.key(entity)[:-8]

        def load(number: int) -> Node:
            row = get(prefix + _NUMBER.pack(number))
            if row is None:
                raise PermanentError(
                    f"a part of the events of {self.group.ref} is missing online",
                    todo="run `asof doctor --repair`: it is built again from history",
                )
            return self._read(_nodes, row)

        if root is None:
            return Tree(self.shape, Leaf(), 1, load)
        unused, node = self._read(_roots, root)
        return Tree(self.shape, node, unused, load)

    def rows(self, entity: bytes, tree: Tree, commit: int) -> list[tuple[bytes, bytes | None]]:
        """Return the rows that became of a tree that was updated, by their keys; None is to be deleted."""
        head = version_head(0, commit)
        root = head + _encode((tree.unused, _packable(tree.root))) if len(tree.root) else None
        found: list[tuple[bytes, bytes | None]] = [(self.key(entity), root)]
        for number, node in tree.written.items():
            found.append((self.key(entity, number), None if node is None else head + _encode(_packable(node))))
        return found

    def _read(self, decoder: msgspec.msgpack.Decoder[N], row: bytes) -> N:
        try:
            return decoder.decode(row[HEAD_BYTES:])
        except msgspec.DecodeError as error:
            todo = "run `asof doctor --repair`: it is built again from history"
            raise PermanentError(f"events of {self.group.ref} cannot be read online: {error}", todo=todo) from error


def _packable(node: Node) -> Node:
    """Return a node in the types of msgpack; values of events are, since they travel as such."""
    return msgspec.structs.replace(node, states=packable(node.states)) if isinstance(node, Branch) else node


def swept_row(until_us: int) -> bytes:
    """Return the row that says until when trees are swept."""
    return version_head(0, 0) + _TIME.pack(until_us)


def swept_until(row: bytes | None) -> int:
    """Return until when trees are swept."""
    return LONG_AGO if row is None else _TIME.unpack(row[HEAD_BYTES:])[0]
