"""Training sets that hold rows of erased keys: their manifests say so, and their statistics are counted again.

The manifest is amended before the first row goes, so that a crash forgets nothing; the statistics, which hold values,
go with it, and are made anew of the rows that are left.
"""

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from asof.erasure.target import Holding
from asof.parts import Parts
from asof.registry.training_sets import KeptSet
from asof.statistics.packing import pack
from asof.training.sets.kept import counted
from asof.training.sets.manifest import Manifest


def holding(parts: Parts, answers: Sequence[Holding]) -> list[tuple[KeptSet, int]]:
    """Return the training sets that hold rows of an erasure, each with how many."""
    rows = {each.group.ref: each.keys.num_rows for each in answers}
    found = [(kept, rows.get(kept.group, 0)) for kept in parts.training_sets.all()]
    return [(kept, count) for kept, count in found if count]


def mark(parts: Parts, erasure: int, answers: Sequence[Holding]) -> None:
    """Say of the training sets that hold rows of an erasure that these go; repeating it changes nothing."""
    for kept, count in holding(parts, answers):
        manifest = Manifest.from_json(kept.manifest)
        before = manifest.erased.get(str(erasure), 0)  # it may have been broken off when some were gone
        erased = {**manifest.erased, str(erasure): max(before, count)}
        amended = msgspec.structs.replace(manifest, erased=erased, transforms=None)  # learned of values that go
        parts.training_sets.amend(replace(kept, manifest=amended.to_json(), statistics=None))


def count_again(parts: Parts) -> None:
    """Count the statistics of training sets that lost rows."""
    for kept in parts.training_sets.all():
        if kept.statistics is None:
            parts.training_sets.amend(replace(kept, statistics=pack(counted(parts, kept))))


def models_of(parts: Parts, training_sets: Sequence[str]) -> tuple[str, ...]:
    """Return the models that were fitted on training sets, with their stages."""
    return tuple(f"{kept.ref} ({kept.stage})" for kept in parts.models.all() if kept.training_set in training_sets)


def named(parts: Parts, erasure: int) -> tuple[str, ...]:
    """Return the training sets that lost rows by an erasure."""
    every = parts.training_sets.all()
    return tuple(kept.ref for kept in every if str(erasure) in Manifest.from_json(kept.manifest).erased)
