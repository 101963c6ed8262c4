"""Columns that are made of others when somebody asks: on-demand features. The same code online and offline."""

from asof.derived.inputs import Inputs
from asof.derived.making import Derived, derived_of

__all__ = ["Derived", "Inputs", "derived_of"]
