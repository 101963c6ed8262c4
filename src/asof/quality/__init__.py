"""Everything about trust: proof that online equals offline, and the health of a store."""

from asof.quality.quality import Quality

__all__ = ["Quality"]
