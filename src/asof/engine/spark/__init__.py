"""The engine port over Apache Spark: history that one machine cannot read in time. Source: docs/decisions/0027."""
