"""A tree of events answers as the oracle of windows does, whatever was put and taken out, in whatever parts."""

from hypothesis import given, settings
from hypothesis import strategies as st

from asof.testing.aggregated import told
from asof.testing.windows import Happening, Span, aggregate, in_window, satisfied
from asof.windows import tree
from asof.windows.aggregation import Aggregation
from asof.windows.conditions import col
from asof.windows.kinds import Window
from asof.windows.nodes import Kept, Leaf, Node
from asof.windows.shape import Shape
from asof.windows.tree import Tree

SPANS = [
    *(Span("exact", length) for length in (1, 3, 10, 40)),
    Span("hop", 10, 4),
    Span("sawtooth", 10, 4),
    *(Span("session", gap) for gap in (1, 2, 5)),
    Span("lifetime"),
]
FUNCTIONS = [("count", None), ("since_last", None), *((f, "n") for f in ("sum", "mean", "min", "last", "top_k"))]
WHERES = [None, col("n") > 2, col("n").is_null()]

ASKED = st.lists(
    st.tuples(st.sampled_from(FUNCTIONS), st.sampled_from(SPANS), st.sampled_from(WHERES)), min_size=1, max_size=4
)
MOMENTS = st.integers(0, 60)
EVENTS = st.tuples(MOMENTS, st.sampled_from([b"a", b"b", b"c"]))
VALUES = st.none() | st.integers(-2, 5)
BATCHES = st.lists(st.dictionaries(EVENTS, st.none() | st.tuples(VALUES), max_size=25), max_size=6)


def aggregations(asked):
    return [
        Aggregation(
            f"f{at}", function, Window(span.kind, span.length_us, span.hop_us), column,
            2 if function == "top_k" else 0, where,
        )
        for at, ((function, column), span, where) in enumerate(asked)
    ]  # fmt: skip


def expected(events, made, span, t):
    held = [
        Happening(time, (identity,), made.column and value)
        for (time, identity), value in sorted(events.items())
        if time <= t and (made.where is None or satisfied(made.where, {"n": value}))
    ]
    return aggregate(made.function, in_window(held, span, t), t, most=made.most)


@settings(max_examples=settings().max_examples * 4)
@given(asked=ASKED, batches=BATCHES, most=st.sampled_from([2, 3, 32]), t=st.integers(0, 20))
def test_a_tree_answers_as_the_oracle_after_each_change(asked, batches, most, t) -> None:
    made = aggregations(asked)
    shape = Shape(made, lambda each: each.algebra(0), {})
    nodes: dict[int, Node] = {}
    root, unused = Leaf(), 1
    present: dict[tuple[int, bytes], int | None] = {}
    old = tree.MOST, tree.FILLED
    tree.MOST, tree.FILLED = most, 2
    try:
        for batch in batches:
            ops = [
                (order, value and Kept(*order, value if shape.columns else ()))
                for order, value in sorted(batch.items())
            ]
            grown = Tree(shape, root, unused, nodes.__getitem__)
            grown.update(ops)
            for number, node in grown.written.items():
                if node is None:
                    del nodes[number]
                else:
                    nodes[number] = node
            root, unused = grown.root, grown.unused
            for order, value in batch.items():
                if value is None:
                    present.pop(order, None)
                else:
                    present[order] = value[0]
            now = max([60, *(time for time, _ in present)]) + t
            values, newest_us = Tree(shape, root, unused, nodes.__getitem__).answers([each.name for each in made], now)
            for each, (_, span, _) in zip(made, asked, strict=True):
                assert newest_us is None or newest_us <= now
                wanted = expected(present, each, span, now)
                assert told(values[each.name]) == told(wanted), (each, now)
    finally:
        tree.MOST, tree.FILLED = old
