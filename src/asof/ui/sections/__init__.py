"""The sections of the pages of groups and views, in their order. A new one is a module, a template, and a line here."""

from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.ui.page import Section
from asof.ui.sections import (
    checks,
    commits,
    data,
    drift,
    facts,
    features,
    freshness,
    lookup,
    models,
    proof,
    quarantine,
    reads,
    serving,
    statistics,
    training_sets,
    use,
    versions,
)

OF_GROUP: tuple[Section[RegisteredGroup], ...] = (
    facts.OF_GROUP,
    freshness.OF_GROUP,
    features.OF_GROUP,
    use.OF_GROUP,
    reads.OF_GROUP,
    data.OF_GROUP,
    lookup.OF_GROUP,
    statistics.OF_GROUP,
    drift.OF_GROUP,
    checks.OF_GROUP,
    quarantine.OF_GROUP,
    commits.OF_GROUP,
    versions.OF_GROUP,
)

OF_VIEW: tuple[Section[RegisteredView], ...] = (
    facts.OF_VIEW,
    serving.OF_VIEW,
    features.OF_VIEW,
    use.OF_VIEW,
    reads.OF_VIEW,
    lookup.OF_VIEW,
    training_sets.OF_VIEW,
    models.OF_VIEW,
    proof.OF_VIEW,
    versions.OF_VIEW,
)
