"""Drift: what is compared, and which commits moved it.

sides       what people name: commits, tags, windows, frames, "online", "offline", "served"
comparing   one comparison, of all rows or by segment
movers      which commits moved a feature, by leaving each of them out
"""

from asof.quality.drift.comparing import drift
from asof.quality.drift.sides import Compared, is_frame
from asof.quality.drift.texts import side_from

__all__ = ["Compared", "drift", "is_frame", "side_from"]
