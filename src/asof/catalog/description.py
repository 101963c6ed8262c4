"""What there is to know about a group, a view, a training set or a model."""

from dataclasses import dataclass

from asof import notebook


@dataclass(frozen=True, slots=True)
class Description:
    """What there is to know about a group, a view, a training set or a model.

    Attributes:
        name: "weather@1".
        kind: "group", "view", "training set" or "model".
        facts: (what, how) in the order to show.
        features: (name, type, unit, description) of each feature.
    """

    name: str
    kind: str
    facts: tuple[tuple[str, str], ...]
    features: tuple[tuple[str, str, str, str], ...]

    def _repr_html_(self) -> str:
        return notebook.text(self)

    def __str__(self) -> str:
        """Return it as text."""
        lines = [
            f"{self.kind} {self.name}",
            *(f"  {what:<12} {how}" for what, how in self.facts),
            "  features",
        ]
        for name, dtype, unit, description in self.features:
            lines.append(f"    {name:<20} {dtype:<12} {unit:<8} {description}".rstrip())
        return "\n".join(lines)
