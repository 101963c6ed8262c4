"""Roles by project, tokens, and how often a caller may ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.access.caller import EVERYBODY, ROLES, Caller, may
from asof.access.keys import parts_of
from asof.errors import DeniedError, NotFoundError, TooOftenError, TransientError, UnknownCallerError
from asof.server.access import MOST_DENIED, Access, printable, token_of, told
from asof.server.rates import MOST, Rates

projects = st.sampled_from(["", "a", "b"])
roles = st.dictionaries(st.sampled_from(["", "a", "b", "*"]), st.sampled_from(ROLES))
shares = st.lists(st.sampled_from(["", "a", "b", "*"]), max_size=2)


def group(project="", shared_with=()):
    entity = Entity("e", keys={"k": "string"})
    features = [Feature("x", "float64")]
    return FeatureGroup("g", entity=entity, features=features, project=project, shared_with=shared_with)


@given(roles, st.sampled_from(ROLES), projects, shares)
def test_a_role_counts_in_its_project_and_sharing_lets_read_only(given, role, project, shared):
    own = [given[name] for name in (project, "*") if name in given]
    has = any(ROLES.index(each) >= ROLES.index(role) for each in own)
    lent = role == "reader" and any(name in shared or "*" in shared for name in given)
    assert may(given, role, group(project, shared)) == (has or lent)
    assert may(given, role, FeatureView("v", features=[group(project)], project=project)) == has


@given(roles, projects, shares)
def test_who_may_more_may_less(given, project, shared):
    allowed = [may(given, role, group(project, shared)) for role in ROLES]
    assert allowed == sorted(allowed, reverse=True)


@given(roles, st.sampled_from(ROLES), projects)
def test_who_has_a_role_everywhere_has_it_in_each_project(given, role, project):
    caller = Caller("key:k", given)
    if caller.everywhere(role):
        caller.need(role, group(project))
        caller.need_anywhere(role)
    if not any(ROLES.index(each) >= ROLES.index(role) for each in given.values()):
        with pytest.raises(DeniedError):
            caller.need_anywhere(role)


@given(st.text())
def test_any_text_may_be_sent_as_a_token(text):
    parts = parts_of(text)
    assert parts is None or text == f"asof_{parts[0]}_{parts[1]}"
    assert printable(text).isprintable()


def test_a_token_comes_by_one_scheme():
    assert token_of(None) is None
    assert token_of("bearer  asof_a_b ") == "asof_a_b"
    assert not token_of("Bearer")
    with pytest.raises(UnknownCallerError):
        token_of("Basic eDp5")


def test_a_bucket_is_full_after_a_second_and_each_caller_has_his_own():
    now = [0.0]
    rates = Rates(4, now=lambda: now[0])
    for who in "ab":
        for _ in range(4):
            rates.take(who)
        with pytest.raises(TooOftenError) as refused:
            rates.take(who)
        assert refused.value.data == {"retry_after_seconds": 1}
    now[0] = 0.25
    rates.take("a")
    with pytest.raises(TooOftenError):
        rates.take("a")
    now[0] = 100.0
    for _ in range(4):
        rates.take("a")
    with pytest.raises(TooOftenError):
        rates.take("a")


def test_a_slow_rate_says_how_long_to_wait():
    rates = Rates(0.1, now=lambda: 0.0)
    rates.take("a")
    with pytest.raises(TooOftenError) as refused:
        rates.take("a")
    assert refused.value.data == {"retry_after_seconds": 10}


def test_buckets_of_very_many_callers_do_not_fill_the_memory():
    now = [0.0]
    rates = Rates(1, now=lambda: now[0])
    for number in range(3 * MOST):
        now[0] += 0.001
        rates.take(str(number))
    assert len(rates._buckets) <= MOST


@pytest.fixture
def store(tmp_path):
    with asof.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def access_of(store):
    """Give what makes an access over the store, and close it."""
    made = []

    def make(**options):
        made.append(Access(store.keys, **options))
        return made[-1]

    yield make
    for access in made:
        access.close()


def test_a_key_is_valid_to_the_microsecond(store, access_of):
    made = store.keys.add("k", {"a": "reader"}, expires="1h")
    now_us = [made.key.expires_at_us - 1]
    access = access_of(now_us=lambda: now_us[0])
    caller = access.identify(made.token, "10.0.0.3")
    assert (caller.name, dict(caller.roles), caller.writer) == ("key:k", {"a": "reader"}, "key:k@10.0.0.3")
    now_us[0] += 1
    with pytest.raises(UnknownCallerError, match="expired"):
        access.identify(made.token, "10.0.0.3")


def test_nobody_is_asked_while_there_is_no_key_unless_it_is_required(store, access_of):
    assert access_of().identify(None, "::1") is EVERYBODY
    assert EVERYBODY.writer == ""
    with pytest.raises(UnknownCallerError):
        access_of(required=True).identify(None, "::1")
    store.keys.add("k", {"": "reader"})
    store.keys.revoke("k")
    with pytest.raises(UnknownCallerError):
        access_of().identify(None, "::1")


def test_keys_that_cannot_be_read_count_for_a_while_only(store, access_of, monkeypatch):
    made = store.keys.add("k", {"": "reader"})
    access = access_of()
    monkeypatch.setattr("asof.server.access.TRUSTED_SECONDS", -1.0)
    with pytest.raises(TransientError, match="the registry does not answer"):
        access.identify(made.token, "")


def test_of_very_many_denied_tries_only_the_number_is_recorded(store, access_of):
    access = access_of(required=True)
    for number in range(MOST_DENIED + 7):
        access.deny(DeniedError("no role"), None, "10.0.0.3", what="push", about=f"g{number}\x00\n" + "x" * 1000)
    access.close()
    found = store.catalog.audit(matching="denied")
    assert len(found) == MOST_DENIED + 1
    assert sum("7 more" in each.note for each in found) == 1
    assert all(each.about.isprintable() and len(each.about) <= 200 for each in found)


def test_whatever_is_sent_as_a_key_is_refused(store, access_of):
    made = store.keys.add("k", {"": "reader"})
    access = access_of()
    id_, secret = parts_of(made.token)

    @given(st.text() | st.text(st.characters()).map(lambda text: f"asof_{id_}_{text}"))
    def refused(text):
        with pytest.raises(UnknownCallerError):
            access.identify(text, "")

    refused()
    for near in (secret[:-1], secret + "0", secret.upper() + "Z", "\ud800" * 64, ""):
        with pytest.raises(UnknownCallerError):
            access.identify(f"asof_{id_}_{near}", "")


def test_names_are_told_to_who_may_read_all():
    error = NotFoundError.named("group", "owm", ["own"])
    assert told(error, Caller("key:k", {"*": "reader"})) is error
    assert "'own'" not in str(told(error, Caller("key:k", {"a": "admin"})))
    model = NotFoundError.named("model", "delay", ["delays"])
    assert "'delays'" not in str(told(model, Caller("key:k", {"a": "admin"})))
    assert told(model, EVERYBODY) is model
    served = NotFoundError.named("served model", "delay", ["delays"])  # made with those that the caller may read
    assert told(served, Caller("key:k", {"a": "admin"})) is served
    other = NotFoundError.named("column", "owm", ["own"])
    assert told(other, Caller("key:k", {"a": "admin"})) is other
