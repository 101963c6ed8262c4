"""`asof model`: ls, show, register, stage, quality, rm."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from asof.cli.command import Answer, open_store, pairs, store_argument
from asof.cli.command import command as asof_command
from asof.cli.commands.model_quality import quality
from asof.cli.documents import Document
from asof.registry.models import STAGES, Stage

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.models import Model

SHAPE: Document = {
    "name": "delays",
    "version": 3,
    "stage": "production",
    "view": "departure@1",
    "training_set": "departure-2026-11@1",
    "training_digest": "b37d6e4e078f...",
    "inputs": {"temp": "float64"},
    "outputs": {"prediction": "float64"},
    "takes": "pandas",
    "method": "predict",
    "loader": "skops",
    "artefact": "models/0f3c1d5e...",
    "bytes": 1043,
    "metrics": {"mae": 9.5},
    "description": "minutes late",
    "log": 0.0,
    "packages": {"scikit-learn": "1.7.2"},
    "created_at": "2026-11-22T12:00:00Z",
    "created_by": "ana@host",
    "code_commit": "b96394e57849...",
}


@click.group("model", short_help="List, show, register, stage, judge and remove models.")
def command() -> None:
    """Models: which training set each was fitted on, and which version is in production.

    NAME is that of a model, its newest live version; one version, "delays@3"; or that of a stage, "delays@production".
    """


@asof_command("ls", shape={"models": [SHAPE]})
@store_argument
def ls(store: str) -> Answer:
    """List the models of a store, every version."""
    with open_store(store) as opened:
        every = opened.models.all()
    from asof.training.model import told

    rows = [(m.ref, m.stage, m.view, m.training_set, told(m.metrics), m.created_at) for m in every]
    columns = ("model", "stage", "view", "fitted on", "metrics", "kept")
    empty = "no models yet -> store.models.register(...), or asof model register STORE NAME --training-set T ..."
    return Answer(
        {"models": [_document(each) for each in every]},
        lambda screen: screen.table(columns, rows) if rows else screen.line(empty),
    )


@asof_command("show", shape=SHAPE)
@store_argument
@click.argument("name")
def show(store: str, name: str) -> Answer:
    """Say what a model reads and gives, and how it was made."""
    with open_store(store) as opened:
        return _shown(opened.models.get(name))


@asof_command("register", shape=SHAPE)
@store_argument
@click.argument("name")
@click.option("--training-set", required=True, metavar="NAME", help="What it was fitted on.")
@click.option(
    "--path", required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH", help="Its file or folder."
)
@click.option("--loader", required=True, metavar="MODULE:FUNCTION", help="Makes the model of that path.")
@click.option("--stage", type=click.Choice(STAGES), default="none", show_default=True, help="See `asof model stage`.")
@click.option(
    "--method", default="predict", show_default=True, metavar="NAME", help='What of it is called; "": itself.'
)
@click.option(
    "--takes",
    type=click.Choice(["pandas", "numpy", "arrow"]),
    default="pandas",
    show_default=True,
    help="As what it is given its inputs.",
)
@click.option("--metric", "metrics", multiple=True, metavar="NAME=VALUE", help="What you measured; may be repeated.")
@click.option("--description", default="", metavar="TEXT", help="For people.")
@click.option("--log", type=click.FloatRange(0, 1), default=0.0, help="The share of online predictions that is logged.")
@click.option("--log-retention", metavar="LENGTH", help="How long they are kept, such as 90d; else for ever.")
def register(  # noqa: PLR0913, PLR0917 - one for each option
    store: str,
    name: str,
    training_set: str,
    path: Path,
    loader: str,
    stage: Stage,
    method: str,
    takes: Literal["pandas", "numpy", "arrow"],
    metrics: tuple[str, ...],
    description: str,
    log: float,
    log_retention: str | None,
) -> Answer:
    """Keep a version of a model that you saved, with the training set that it was fitted on.

    The file or folder is copied into the store. The loader's module must be importable where the model is used: its
    source is hashed, and another one is refused. Models of scikit-learn need no loader, in Python:
    `store.models.register`.
    """
    measured = {name: _number(name, text) for name, text in pairs(metrics, what="metric").items()}
    with open_store(store) as opened:
        kept = opened.models.register(
            name,
            training_set=training_set,
            path=path,
            loader=loader,
            stage=stage,
            method=method,
            takes=takes,
            metrics=measured,
            description=description,
            log=log,
            log_retention=log_retention,
        )
        return _shown(kept)


@asof_command("stage", shape={"moved": [{"model": "delays@3", "stage": "production"}]})
@store_argument
@click.argument("name")
@click.argument("stage", type=click.Choice(STAGES))
def stage(store: str, name: str, stage: Stage) -> Answer:
    """Put a version of a model ("delays@3") into a stage.

    `staging` and `production` have one version of a name: the one that was there is archived. What a model that is not
    archived was fitted on is not removed.
    """
    with open_store(store) as opened:
        moved = opened.models.move(name, stage)
    said = [f"{each.ref} is {each.stage}" for each in moved] or [f"{name} was {stage} already"]
    document = {"moved": [{"model": each.ref, "stage": each.stage} for each in moved]}
    return Answer(document, lambda screen: screen.line(", ".join(said), style="green"))


@asof_command("rm", shape={"removed": ["delays@3"]})
@store_argument
@click.argument("name")
def rm(store: str, name: str) -> Answer:
    """Remove a version of a model ("delays@3") with its files, or all ("delays")."""
    with open_store(store) as opened:
        gone = opened.models.remove(name)
    return Answer({"removed": gone}, lambda screen: screen.line(f"removed {', '.join(gone)}", style="green"))


for each in (ls, show, register, stage, quality, rm):
    command.add_command(each)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f"metric {name}={text!r} is no number") from None


def _shown(found: "Model") -> Answer:
    def told(screen: "Screen") -> None:
        screen.line(f"model {found.ref}", style="bold")
        screen.facts(found.facts())

    return Answer(_document(found), told)


def _document(found: "Model") -> dict[str, Any]:
    from asof.clock import show_us

    said = found.said
    return {
        "name": found.name,
        "version": found.version,
        "stage": found.stage,
        "view": found.view,
        "training_set": found.training_set,
        "training_digest": found.kept.training_digest,
        "inputs": dict(said.inputs),
        "outputs": dict(said.outputs),
        "takes": said.takes,
        "method": said.method,
        "loader": said.loader,
        "artefact": found.artefact,
        "bytes": said.bytes,
        "metrics": found.metrics,
        "description": said.description,
        "log": said.log,
        "packages": dict(said.packages),
        "created_at": show_us(found.kept.created_at_us),
        "created_by": found.writer,
        "code_commit": said.code_commit,
    }
