"""Aggregates over windows of events: which events a window holds, and how their values become one.

Pure values and functions: no engine, no store, no clock. `kinds` says which events are in a window at a time,
`functions` is the algebra of what is made of them, `exact` sums floats without rounding.

Source: SEMANTICS section 4.
"""
