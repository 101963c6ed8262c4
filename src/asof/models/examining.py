"""Whether the files of models are those that were kept."""

from asof.errors import AsofError
from asof.models.artefacts import Artefacts
from asof.models.registering import places_used
from asof.parts import Parts
from asof.quality.doctor import Examined, Finding
from asof.training.model import MLFLOW, Model

WHERE = "models"


def examine(parts: Parts, *, repair: bool) -> Examined:
    """Read the files of all models, but for those that MLflow keeps, and look for files of none.

    Args:
        parts: The store's parts.
        repair: Whether to delete what a registration left that was broken off.
    """
    artefacts = Artefacts(parts.root)
    findings: list[Finding] = []
    read: dict[str, str] = {}
    for kept in parts.models.all():
        try:
            model = Model(kept)
            if model.said.loader == MLFLOW or read.get(kept.artefact) == kept.digest:
                continue
            artefacts.path(model)
        except AsofError as error:
            findings.append(Finding(WHERE, f"{kept.ref}: {error.what}", todo=error.todo))
        else:
            read[kept.artefact] = kept.digest
    orphans = artefacts.orphans(lambda: places_used(parts), delete=repair)
    if orphans:
        gone = repair and not any(place.exists() for place in orphans)
        what = f"{len(orphans)} folders of files that no model uses: {', '.join(place.name for place in orphans[:3])}"
        todo = "look at their permissions" if repair else "run `asof doctor --repair`"
        findings.append(Finding(WHERE, what + (", ..." if len(orphans) > 3 else ""), gone, todo))  # noqa: PLR2004 - as shown
    return Examined(len(read), tuple(findings))
