"""Streams into groups: from a broker's messages to rows, in micro-batches, each message once.

from asof.streams import run

run(store, "arrivals", "kafka://localhost:9092/arrivals", format="json")
"""

from asof.streams.figures import Figures
from asof.streams.run import letters, positions, run

__all__ = ["Figures", "letters", "positions", "run"]
