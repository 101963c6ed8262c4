"""What a transformer of scikit-learn learned, as bytes: read without pickle, and equal for equal states.

skops writes them: a schema in JSON, and arrays as NumPy writes them without objects. Its own bytes hold addresses in
memory and the time; here both give way to numbers from 0.
"""

import base64
import io
import json
import zipfile
from collections.abc import Collection
from typing import Any, cast

from asof.errors import MissingDependencyError, PermanentError, UnsupportedError

TRUSTED = ("numpy.dtype",)
"""Types that skops does not trust by itself, and that hold no code."""

SCHEMA = "schema.json"
MOST_BYTES = 1 << 28
"""What an archive may hold in memory: an embedding of 10,000 numbers to 1,000."""


def pack(learned: object, users: Collection[str], *, where: str) -> str:
    """Return what was learned, in base64.

    Args:
        learned: A fitted transformer.
        users: "module.Class" of the classes of users that the definition names.
        where: Whose it is, for messages.

    Raises:
        UnsupportedError: It holds types that are not trusted, or that skops does not write.
        MissingDependencyError: skops is not installed.
    """
    skops = _skops()
    try:
        body = _canonical(skops.dumps(learned))
    except Exception as error:  # whatever a foreign class may hold
        what = f"what it learned cannot be kept without pickle: {error}"
        raise UnsupportedError(what, where=where, todo="take another transformer") from error
    _refuse_large(len(body), where)
    _refuse_untrusted(body, users, where)
    return base64.b64encode(body).decode()


def unpack(text: str, users: Collection[str], *, where: str) -> Any:  # noqa: ANN401 - a transformer
    """Return the transformer of an archive; no class is looked up before all are known to be trusted.

    Raises:
        UnsupportedError: It holds types that are not trusted. PermanentError: It is damaged.
        MissingDependencyError: skops is not installed.
    """
    skops = _skops()
    try:
        body = base64.b64decode(text, validate=True)
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            size = sum(each.file_size for each in archive.infolist())
        _refuse_large(size, where)
        _refuse_untrusted(body, users, where)
        return skops.loads(body, trusted=[*TRUSTED, *users])
    except UnsupportedError:
        raise
    except Exception as error:  # skops raises whatever damaged bytes lead to
        what = f"what a transformer learned cannot be read: {type(error).__name__}: {error}"
        raise PermanentError(what, where=where, todo="fit it anew") from error


def written(model: object, *, where: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a model as bytes, and the types that whoever reads it takes on trust; whoever writes it has them.

    Raises:
        UnsupportedError: skops does not write it. MissingDependencyError: It is not installed.
    """
    skops = _skops()
    try:
        body = _canonical(skops.dumps(model))
    except Exception as error:  # whatever a foreign class may hold
        todo = 'save it yourself, and pass path="file" and loader="module:function"'
        raise UnsupportedError(f"skops cannot keep the model: {error}", where=where, todo=todo) from error
    return body, tuple(sorted(skops.get_untrusted_types(data=body)))


def read(body: bytes, trusted: Collection[str]) -> object:
    """Return the model of such bytes.

    Raises:
        Whatever skops raises: they are damaged, or hold other types.
    """
    found: object = _skops().loads(body, trusted=list(trusted))
    return found


def _skops() -> Any:  # noqa: ANN401 - it ships no types
    try:
        import skops.io as found  # noqa: PLC0415 - of an extra, and a second: only transformers of scikit-learn need it
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name).partition(".")[0], extra="sklearn") from error
    return found


def _refuse_untrusted(body: bytes, users: Collection[str], where: str) -> None:
    unknown = sorted(set(_skops().get_untrusted_types(data=body)) - {*TRUSTED, *users})
    if unknown:
        what = f"what the transformer learned holds types that are not trusted: {', '.join(unknown)}"
        raise UnsupportedError(what, where=where, todo="take a transformer whose state is numbers and text")


def _refuse_large(size: int, where: str) -> None:
    if size > MOST_BYTES:
        todo = "take a transformer that learns less"
        raise UnsupportedError(f"it holds {size:,} bytes, {MOST_BYTES:,} is the most", where=where, todo=todo)


def _canonical(body: bytes) -> bytes:
    """Return an archive with its objects and files numbered in their order, without times."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    objects: dict[object, int] = {}
    files: dict[str, str] = {}

    def renamed(node: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(node, list):
            return [renamed(each) for each in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        held = {name: renamed(each) for name, each in cast("dict[str, Any]", node).items()}
        if isinstance(held.get("__id__"), int):
            held["__id__"] = objects.setdefault(held["__id__"], len(objects))
        if isinstance(name := held.get("file"), str):
            held["file"] = files.setdefault(name, f"{len(files)}.{name.rpartition('.')[2]}")
        return held

    schema = json.dumps(renamed(json.loads(contents.pop(SCHEMA))), separators=(",", ":"))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr(zipfile.ZipInfo(SCHEMA), schema)
        for name, said in files.items():
            archive.writestr(zipfile.ZipInfo(said), contents[name])
    return written.getvalue()
