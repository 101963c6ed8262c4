"""Projects: whose a group or view is, and who may read it."""

import json

import pytest

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.definitions.documents import group_document, group_identity, view_document, view_identity
from asof.errors import ConflictError, NotFoundError, UsageError

customer = Entity("customer", keys={"id": "string"})


def group(name="spending", **options):
    return FeatureGroup(name, entity=customer, features=[Feature("x", "float64")], **options)


@pytest.fixture
def store(tmp_path):
    with asof.open(tmp_path / "store") as opened:
        yield opened


def test_a_project_changes_no_identity_and_old_documents_have_the_default_one():
    own = group(project="fraud", shared_with=["risk"])
    view = FeatureView("v", features=[own], project="fraud")
    assert group_identity(group_document(own)) == group_identity(group_document(group()))
    assert view_identity(view_document(view, {"spending": 1})) == view_identity(
        view_document(FeatureView("v", features=[group()]), {"spending": 1})
    )
    # as it was before there were projects
    assert group_identity(group_document(group())) == "527e7ca331611e695e85edf7d99a4100cf946ba18efb63db69a57b53ecc26f04"


def test_a_project_is_amended_in_place_and_told(store):
    store.apply(group())
    assert not store.plan(group())
    plan = store.apply(group(project="fraud", shared_with=["risk", "*", "risk"]))
    assert [change.action for change in plan] == ["amend"]
    found = store.catalog.find("spending").definition
    assert (found.project, found.shared_with) == ("fraud", ("risk", "*"))
    facts = dict(store.catalog.describe("spending").facts)
    assert (facts["project"], facts["shared with"]) == ("fraud", "risk, *")
    assert "spending" in [hit.name for hit in store.catalog.search("fraud")]


def test_a_view_reads_groups_of_its_project_and_shared_ones_only(store):
    own, lent, other = group("own", project="risk"), group("lent", project="fraud"), group("other", project="fraud")
    store.apply(own, lent, other)
    with pytest.raises(UsageError, match=r"view v@1 of project 'risk' reads group lent@1 of project 'fraud'.*risk"):
        store.apply(FeatureView("v", features=[own["x"].alias("a"), lent["x"].alias("b")], project="risk"))
    assert store.catalog.views() == []
    lent = group("lent", project="fraud", shared_with=["risk"])
    view = FeatureView("v", features=[own["x"].alias("a"), lent["x"].alias("b")], project="risk")
    store.apply(lent, view)
    with pytest.raises(UsageError, match="other"):
        store.apply(FeatureView("w", features=[own.on(id=other["x"])["x"]], project="risk"))
    for taken in (group("lent", project="fraud"), group("lent", project="fraud", shared_with=["ads"])):
        with pytest.raises(ConflictError, match="view v@1 of project 'risk' reads group lent@1, which would be"):
            store.apply(taken)
    store.apply(group("lent", project="fraud", shared_with=["*"]))
    store.apply(group("lent", project="risk"))


def test_a_view_and_its_log_change_their_project_together(store):
    own = group("own", online=True)
    store.apply(own, FeatureView("v", features=[own], log=1.0))
    own = group("own", online=True, project="risk")
    with pytest.raises(ConflictError, match="the default project"):
        store.apply(own)
    store.apply(own, FeatureView("v", features=[own], log=1.0, project="risk"))
    assert store.catalog.find("v_log").definition.project == "risk"
    assert store.catalog.find("v").definition.project == "risk"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"project": "Fraud"}, "'fraud'"),
        ({"project": "*"}, "no name for a project"),
        ({"project": None}, "no name for a project"),
        ({"shared_with": "risk"}, "list of the names"),
        ({"shared_with": ["a b"]}, "'a_b'"),
        ({"shared_with": None}, "names no projects"),
    ],
)
def test_what_is_no_project_is_refused(options, says):
    with pytest.raises(UsageError, match=says):
        group(**options)


def test_keys_are_made_once_and_of_known_roles(store):
    made = store.keys.add("nightly", {"fraud": "writer", "*": "reader"}, expires="90d")
    assert made.token.startswith(f"asof_{made.key.id}_")
    secret = made.token.rpartition("_")[2]
    assert len(secret) == 64
    assert secret not in repr(made) + repr(store.keys.all()) + json.dumps(made.key.digest)
    for roles, error in (({}, UsageError), ({"fraud": "owner"}, NotFoundError), ({"Fraud!": "reader"}, UsageError)):
        with pytest.raises(error):
            store.keys.add("other", roles)
    for name, expires in (("bad name", "1d"), ("other", "0s"), ("other", "soon")):
        with pytest.raises(UsageError):
            store.keys.add(name, {"": "reader"}, expires=expires)
    assert [key.name for key in store.keys.all()] == ["nightly"]


def test_no_secret_lies_in_the_store(store, tmp_path):
    token = store.keys.add("nightly", {"": "reader"}).token
    for file in (tmp_path / "store").rglob("*"):
        assert not file.is_file() or token.rpartition("_")[2].encode() not in file.read_bytes(), file


def test_every_change_has_its_deed_and_commits_are_their_own(store):
    store.apply(group(online=True))
    store.write("spending", [{"id": "a", "x": 1.0}])
    wrong = store.push("spending", {"id": "b", "x": 1.0})
    store.retract(wrong, reason="wrong")
    store.catalog.tag("t")
    store.forget("customer", {"id": "a"}, reason="asked")
    store.catalog.remove("spending")
    found = store.catalog.audit()
    assert sorted(each.what for each in found) == sorted(
        ["apply", "write", "push", "retract", "tag", "forget", "remove"]
    )
    assert [each.at_us for each in found] == sorted(each.at_us for each in found)
    assert all(each.writer.partition("@")[2] for each in found)
    assert [each.what for each in store.catalog.audit(matching="spending@1", limit=1)] == ["remove"]
    assert [each.note for each in store.catalog.audit(matching="ASKED")] == ["asked"]
    with pytest.raises(UsageError):
        store.catalog.audit(limit=0)
