"""Transforms of views, fitted on a training split: learning, applying, keeping. Pure: arrays in, arrays out."""

from asof.fitted.fit import Batches, fit
from asof.fitted.fitted import RAW_SUFFIX, Fitted

__all__ = ["RAW_SUFFIX", "Batches", "Fitted", "fit"]
