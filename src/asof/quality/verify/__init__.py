"""Proof on the user's own data that online equals offline: law 3 of SEMANTICS section 9."""

from asof.quality.verify.result import Cause, Difference, Stage, Verification, first, share
from asof.quality.verify.run import verify

__all__ = ["Cause", "Difference", "Stage", "Verification", "first", "share", "verify"]
