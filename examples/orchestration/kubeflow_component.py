"""The pipeline as components of Kubeflow Pipelines: `python kubeflow_component.py` writes weather.yaml to upload.

Pods share no folder, so the store is a server (`asof serve`), and the file lies on a volume that is mounted. A
component that is tried again does nothing twice: the pipeline's job is the idempotency key.
"""

from kfp import compiler, dsl

component = dsl.component(base_image="python:3.12", packages_to_install=["asof"])


@component
def load(store: str, group: str, file: str, idempotency_key: str) -> str:
    """Check a file and write it; return the commit."""
    from asof import pipelines  # noqa: PLC0415 - a component is a function that stands alone

    verdict = pipelines.validate(store, group, file)
    if not verdict["passed"]:
        raise ValueError(verdict["report"])
    return pipelines.write(store, group, file, idempotency_key=idempotency_key)["commit"]


@component
def make(store: str, group: str, view: str) -> int:
    """Make what is new, and prove that it is served as it is stored; return the rows."""
    from asof import pipelines  # noqa: PLC0415 - as above

    rows = pipelines.materialize(store, group)["rows"]
    found = pipelines.verify(store, view)
    if not found["passed"]:
        raise ValueError(found["report"])
    return rows


@dsl.pipeline(name="weather")
def weather(store: str, file: str):
    loaded = load(store=store, group="weather", file=file, idempotency_key=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
    make(store=store, group="comfort", view="departure").after(loaded)


if __name__ == "__main__":
    compiler.Compiler().compile(weather, "weather.yaml")
