"""`asof keys` and `asof audit`."""

import json

import pytest

import asof


def roles(store):
    with asof.open(store) as opened:
        return {key.name: dict(key.roles) for key in opened.keys.all()}


def test_a_token_is_printed_alone_and_once(typed, document, project):
    made = typed("keys", "add", project.store, "nightly", "--role", "writer", "--project", "fraud", "--expires", "90d")
    assert made.stdout.count("\n") == 1
    assert made.stdout.startswith("asof_")
    secret = made.stdout.strip().rpartition("_")[2]
    for command in ("keys ls", "audit"):
        shown = typed(*command.split(), project.store).stdout
        assert "nightly" in shown
        assert secret not in shown
    (key,) = document("keys", "ls", project.store)["keys"]
    assert (key["name"], key["roles"], key["valid"], key["used_on"]) == ("nightly", {"fraud": "writer"}, True, None)
    assert key["id"] == made.stdout.split("_")[1]
    other = document("keys", "add", project.store, "other", "--role", "reader")
    assert other["token"].startswith(f"asof_{other['id']}_")
    assert "token" not in document("keys", "ls", project.store)["keys"][1]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--role", "reader"], {"": "reader"}),
        (["--role", "reader", "--project", "a", "--project", "*"], {"a": "reader", "*": "reader"}),
        (["--role", "a=writer", "--role", "*=reader"], {"a": "writer", "*": "reader"}),
        (["--role", "=admin", "--role", "reader", "--project", "b"], {"": "admin", "b": "reader"}),
    ],
)
def test_roles_are_given_by_project(typed, project, words, expected):
    typed("keys", "add", project.store, "k", *words)
    assert roles(project.store) == {"k": expected}


def test_what_makes_no_key_is_said(error, project):
    add = ("keys", "add", project.store)
    assert "Missing option '--role'" in error(*add, "k", code=2)
    assert "unknown role 'owner'" in error(*add, "k", "--role", "owner")
    assert "no name for a project" in error(*add, "k", "--role", "A=reader", code=2)
    assert "two roles" in error(*add, "k", "--role", "a=reader", "--role", "a=writer", code=2)
    assert "no name for a key" in error(*add, "a b", "--role", "reader", code=2)
    assert "90x" in error(*add, "k", "--role", "reader", "--expires", "90x", code=2)
    assert roles(project.store) == {}


def test_a_key_is_revoked_by_its_name(typed, document, error, project):
    typed("keys", "add", project.store, "nightly", "--role", "reader")
    assert "there is a key 'nightly' already" in error("keys", "add", project.store, "nightly", "--role", "reader")
    (key,) = document("keys", "revoke", project.store, "nightly")["keys"]
    assert (key["valid"], key["revoked_at"] is None) == (False, False)
    assert "revoked" in typed("keys", "ls", project.store).stdout
    assert "did you mean 'nightly'" in error("keys", "revoke", project.store, "nightli")
    typed("keys", "add", project.store, "nightly", "--role", "reader")


def test_the_audit_log_says_who_did_what(typed, document, project, monkeypatch):
    assert "no keys yet" in typed("keys", "ls", project.store).stdout
    monkeypatch.setenv("ASOF_WRITER", "ana@desk")
    typed("keys", "add", project.store, "nightly", "--role", "reader")
    changes = document("audit", project.store)["changes"]
    assert [each["what"] for each in changes][:2] == ["apply", "apply"]
    assert "backfill" in {each["what"] for each in changes}
    assert {each["outcome"] for each in changes} == {"done"}
    assert all(each["who"] and each["address"] for each in changes)
    (found,) = document("audit", project.store, "--matching", "nightly", "--limit", "1")["changes"]
    assert (found["what"], found["about"].partition(" ")[0]) == ("keys add", "nightly")
    assert json.dumps(changes) == json.dumps(sorted(changes, key=lambda each: each["at"]))
    assert "nothing yet" in typed("audit", project.store, "--matching", "nobody").stdout
