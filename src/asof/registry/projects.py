"""What views may read, and groups that are made of others: groups of their project, and those shared with it."""

from collections.abc import Mapping, Sequence
from typing import Any

from asof.definitions.names import EVERY_PROJECT
from asof.errors import ConflictError, UsageError

Documents = Mapping[str, Mapping[str, Any]]
"""Definitions as documents, by their versions' names ("weather@1")."""


def refs_in(features: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the group versions that the features of a view's document read."""
    found: set[str] = set()
    for feature in features:
        if "group" not in feature:  # it is made of others, or of a request
            found |= refs_in(feature.get("inputs", ()))
            continue
        found.add(feature["group"])
        sources: list[Mapping[str, Any] | str] = list(feature["on"].values())
        found |= refs_in([source for source in sources if not isinstance(source, str)])
    return found


def check_projects(views: Documents, groups: Documents, *, declared: frozenset[str]) -> None:
    """Refuse a state of the registry in which a view or a group reads what its project may not.

    Args:
        views: All views as they would be.
        groups: All groups as they would be.
        declared: The views and groups among them that are being applied.

    Raises:
        UsageError: Such a one is being applied. ConflictError: It is there, and loses a group that it reads.
    """
    reads = {ref: ("view", view, refs_in(view["features"])) for ref, view in views.items()}
    for ref, group in groups.items():
        parent = group.get("source") or group.get("origin")
        if parent:
            reads[ref] = "group", group, {parent}
    for ref, (kind, reader, every) in reads.items():
        project = reader.get("project", "")
        for read in sorted(every):
            group = groups.get(read)
            if group is None or _is_open(group, project):
                continue
            name = read.partition("@")[0]
            todo = f"declare shared_with=[{project!r}] in the group {name!r}"
            facts = {kind: ref, "group" if kind == "view" else "source": read, "project": project}
            of = f"of {_named(project)}", f"of {_named(group.get('project', ''))}"
            if ref in declared:
                what = f"{kind} {ref} {of[0]} reads group {read} {of[1]}, which is not shared with it"
                raise UsageError(what, todo=todo, data=facts)
            what = f"{kind} {ref} {of[0]} reads group {read}, which would be {of[1]} and not shared with it"
            raise ConflictError(what, todo=f"{todo}, or remove the {kind} first", data=facts)


def _is_open(group: Mapping[str, Any], project: str) -> bool:
    shared = group.get("shared_with", ())
    return project == group.get("project", "") or project in shared or EVERY_PROJECT in shared


def _named(project: str) -> str:
    return f"project {project!r}" if project else "the default project"
