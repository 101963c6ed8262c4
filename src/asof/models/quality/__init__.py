"""How good a model was over time: what it predicted online, beside what became of it. Source: docs/model-quality.md."""

from asof.models.quality.over_time import QualityAsked, bucket_us, quality
from asof.models.quality.result import ModelQuality, QualityRow

__all__ = ["ModelQuality", "QualityAsked", "QualityRow", "bucket_us", "quality"]
