"""What tests of asof, of its adapters and of your own store are built on.

`reference` is the oracle: the rules of time and truth in plain Python. `strategies` makes small, nasty
histories for it and for a real store (needs hypothesis, so it is imported by name only).
"""
