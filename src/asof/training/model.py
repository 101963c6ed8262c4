"""A model, as the registry knows it."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from asof import notebook
from asof.clock import from_us, show_us
from asof.definitions.durations import show_duration
from asof.definitions.serving_log import predictions_name
from asof.definitions.types import DType, parse_type
from asof.errors import PermanentError
from asof.registry.models import KeptModel
from asof.training.sets.inputs import Takes

SKOPS = "skops"
"""The loader of what scikit-learn fitted: no pickle, and no code of a user."""


MLFLOW = "mlflow"
"""The loader of what MLflow keeps."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is loaded and called, and what else was said of it.

    Attributes:
        loader: "skops"; or the function that makes the model of its artefact, "module:function"; or "mlflow".
        loader_digest: Hash of that function's source.
        trusted: Types that the artefact holds, beyond those that skops trusts by itself.
        method: What of the model is called.
        takes: As what it is given its inputs.
        inputs: Its columns with their types: the features, or what the transforms make of them.
        outputs: What it gives, with types.
        sizes: With how many rows it is called, for one row and for many: so that both have the same bits.
        transforms: Digest of what the view's transforms learned; "" if it has none.
        metrics: Measured by whoever fitted it.
        description: For people.
        log: The share of online predictions that is logged.
        log_retention_us: How long they are kept; None: for ever.
        packages: Versions of the packages that it needs.
        code_commit: Commit of the code that fitted it.
        asof: Version of asof.
        bytes: Of the artefact.
    """

    loader: str
    loader_digest: str = ""
    trusted: tuple[str, ...] = ()
    method: str = "predict"
    takes: Takes = "pandas"
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    sizes: tuple[int, int] = (1, 1)
    transforms: str = ""
    metrics: dict[str, float] = {}
    description: str = ""
    log: float = 0.0
    log_retention_us: int | None = None
    packages: dict[str, str] = {}
    code_commit: str = ""
    asof: str = ""
    bytes: int = 0

    def to_json(self) -> str:
        """Return it as JSON."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> "Facts":
        """Return what `to_json` wrote.

        Raises:
            PermanentError: It is damaged, or a newer asof wrote it.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise PermanentError(f"the record of a model cannot be read: {error}") from error


class Model:
    """A version of a model; keep one with `store.models.register`, and predict with `store.models.load`.

    Attributes:
        name: Its name.
        version: Number of the version, from 1.
        stage: "none", "staging", "production" or "archived".
        training_set: The version that it was fitted on, "departure-2026-11@1".
        view: The view, or group, that it reads, "departure@1".
        artefact: Where what predicts lies.
        said: How it is loaded and called.
        writer: Who kept it.
    """

    def __init__(self, kept: KeptModel) -> None:
        """Keep the record."""
        self.kept = kept
        self.said = Facts.from_json(kept.facts)
        self.name, self.version, self.stage = kept.name, kept.version, kept.stage
        self.training_set, self.view, self.artefact = kept.training_set, kept.view, kept.artefact
        self.writer = kept.writer

    @property
    def ref(self) -> str:
        """The version's name, such as "delays@3"."""
        return self.kept.ref

    @property
    def live(self) -> bool:
        """Whether something may predict with it: it is not archived."""
        return self.kept.live

    @property
    def created_at(self) -> datetime:
        """When it was kept."""
        return from_us(self.kept.created_at_us)

    @property
    def metrics(self) -> dict[str, float]:
        """What whoever fitted it measured."""
        return dict(self.said.metrics)

    @property
    def inputs(self) -> dict[str, DType]:
        """Its columns: the features, or what the view's transforms make of them."""
        return typed(self.said.inputs)

    @property
    def outputs(self) -> dict[str, DType]:
        """What it gives."""
        return typed(self.said.outputs)

    def facts(self) -> Sequence[tuple[str, str]]:
        """Return what there is to know, (what, how) in the order to show."""
        said = self.said
        facts = [
            ("stage", self.stage),
            ("description", said.description),
            ("view", f"{self.view}, {len(said.inputs):,} inputs as {said.takes}"),
            ("fitted on", f"{self.training_set} ({self.kept.training_digest[:12]})"),
            ("transforms", said.transforms[:12]),
            ("gives", ", ".join(f"{name}: {dtype}" for name, dtype in said.outputs) + f" by {said.method}"),
            ("called", _called(*said.sizes)),
            ("metrics", told(said.metrics)),
            ("kept", f"{show_us(self.kept.created_at_us)} by {self.writer}, asof {said.asof}"),
            ("code", said.code_commit),
            ("artefact", f"{self.artefact}, {said.bytes:,} bytes, by {said.loader}"),
            ("packages", ", ".join(f"{name} {version}" for name, version in said.packages.items())),
            ("logged", self._logged()),
        ]
        return [(what, how) for what, how in facts if how]

    def _logged(self) -> str:
        said = self.said
        if not said.log:
            return ""
        kept = "" if said.log_retention_us is None else f", kept for {show_duration(said.log_retention_us)}"
        return f"{said.log:.0%} of online predictions, in {predictions_name(self.name)}{kept}"

    def __repr__(self) -> str:
        """Return what it is, a fact a line."""
        return "\n".join([f"<model {self.ref}>", *(f"  {what:<12}{how}" for what, how in self.facts())])

    def _repr_html_(self) -> str:
        return notebook.paragraph(f"model {self.ref}") + notebook.table(("what", "how"), self.facts())


def _called(one: int, many: int) -> str:
    if many == 1:
        return "row by row: in blocks its last bits differ"
    return f"by blocks of {many:,} rows" if one == 1 else f"by blocks of {many:,} rows, one row too"


def told(metrics: Mapping[str, float]) -> str:
    """Return metrics as text."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def typed(columns: Sequence[tuple[str, str]]) -> dict[str, DType]:
    """Return columns with their types, of the texts that are kept."""
    return {name: parse_type(dtype) for name, dtype in columns}
