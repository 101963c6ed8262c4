"""The way in: normalise, validate, publish, serve; and the upkeep of what was written."""
