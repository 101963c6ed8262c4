"""Arrow, the only table type inside: types, layouts, foreign frames in and out, order, and row bytes."""
