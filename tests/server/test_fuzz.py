"""Requests that nobody foresaw, made of our own OpenAPI document and of our own types: no 5xx, and answers as the document says.

Schemathesis makes what the document permits, and what it does not; `near` makes bodies of which every part is right, or is not.
"""

import json

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.errors import InvalidSchema

pytestmark = pytest.mark.slow

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
OPERATIONS = (
    "online", "historical", "rows", "push", "replay", "plan", "apply", "groups", "views", "describe", "lineage", "commits", "search",
    "statistics", "nearest", "predict", "models",
    "feast_online", "feast_push", "feast_write", "health", "ready", "server",
)  # fmt: skip
NAMES = ("risk", "spending", "everything", "nightly", "logged", "spending@1", "risk@1")
FEW, MANY = 12, 1500


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """Give a server whose store may become anything, and the operations of its document."""
    from tests.server.conftest import Server, made

    server = Server(made(tmp_path_factory.mktemp("fuzz") / "store"), ("--timeout", "60", "--max-body", "1"))
    address = f"http://127.0.0.1:{server.port}"
    found = schemathesis.openapi.from_url(f"{address}/openapi.json")
    operations = [each.ok() for each in found.get_all_operations()]
    yield server, address, {each.definition.raw["operationId"]: each for each in operations}
    assert server.stop() == 0


def few(examples):
    return settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None)


def test_the_list_of_operations_is_that_of_the_document(fuzzed):
    assert set(OPERATIONS) == fuzzed[2].keys()


def try_document(fuzzed, name, examples):
    _, address, operations = fuzzed
    operation = operations[name]

    @few(examples)
    @given(st.data())
    def check(data):
        mode = data.draw(st.sampled_from([schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]))
        try:
            case = data.draw(operation.as_strategy(generation_mode=mode))
        except InvalidSchema:  # what it makes of a recursive schema may be none
            reject()
        for parameter in case.path_parameters or {}:
            if data.draw(st.booleans()):
                case.path_parameters[parameter] = data.draw(st.sampled_from(NAMES))
        answer = case.call(base_url=address)
        case.validate_response(answer, checks=CHECKS)

    check()


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_made_of_the_document_is_answered_as_it_says(fuzzed, name):
    try_document(fuzzed, name, FEW)


@pytest.mark.long
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_lot_made_of_the_document_is_answered_as_it_says(fuzzed, name):
    try_document(fuzzed, name, MANY)


TEXTS = st.sampled_from(
    ["", "x", "NaN", "\x00", "\ud800", "🜁", "a" * 300, "__commit", "2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05",
     "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59.999999Z", "/wA=", "1.5", "1e400", "-0", "' OR 1=1 --", "../../x", "%00"]
)  # fmt: skip
NUMBERS = st.sampled_from(
    [0, 1, -1, 127, 128, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**40, 0.5, -0.0, 1e308, 1e-320, 5e15]
)
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | TEXTS
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
TIMES = st.sampled_from(
    ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456+05:30", "1969-12-31T23:59:59Z", "2500-01-01T00:00:00Z"]
)
NAMES_OF = st.sampled_from([*NAMES, "fuzz", "fuzz@1", "nobody"])


def near(right, wrong=JUNK, *, weight=40):
    """Make mostly what is right."""
    return st.integers(0, weight).flatmap(lambda roll: right if roll else wrong)


def record(needed, more=None):
    """Make objects with parts that are mostly right, now and then too few or too many."""
    parts = {name: near(kind) for name, kind in {**needed, **(more or {})}.items()}
    whole = st.fixed_dictionaries(
        {name: parts[name] for name in needed}, optional={name: parts[name] for name in more or {}}
    )
    extra = st.builds(lambda one, other: one | other, whole, st.dictionaries(TEXTS, JUNK, max_size=1))
    return st.integers(0, 9).flatmap(lambda roll: whole if roll else extra)


VISIT = {
    "day": st.sampled_from(["2026-01-02", "0001-01-01", "9999-12-31"]), "code": st.sampled_from(["/wA=", ""]), "at_us": TIMES,
    "open": st.booleans(), "name": TEXTS,
}  # fmt: skip
FULL = {
    "f64": NUMBERS | st.just("NaN"), "f32": NUMBERS, "i64": st.integers(-(2**63), 2**63 - 1), "i8": st.integers(-128, 127),
    "flag": st.booleans(), "text": TEXTS, "raw": st.just("AA=="), "moment": TIMES, "born": st.just("1969-12-31"),
    "price": st.sampled_from(["1.50", "-123456789012345678901234567890123456.78", "1E+400", "NaN", "0.001"]),
    "list": st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=3), "vector": st.lists(st.just(0.5), min_size=1, max_size=3),
    "nested": record({"a": st.integers(), "b": st.just("eA=="), "c": st.lists(st.just("1.5"), max_size=2)}),
}  # fmt: skip
CUSTOMER = {"customer_id": st.integers(0, 12)}
SPENT = {"customer_id": st.integers(0, 12), "at": TIMES, "orders": st.integers(0, 9), "returned": NUMBERS}
FLAGS = {"statuses": st.booleans(), "event_times": st.booleans(), "receipt": st.booleans()}
ORIENT = st.sampled_from(["rows", "columns"])
LENGTH = st.sampled_from([0, 1, 3_600_000_000, 3 * 10**17])
TYPE = st.sampled_from(
    ["int8", "string", "float32", "bytes", "date", "timestamp", "decimal(38, 38)", "list<struct<a: int64>>", "vector<float32, 16384>",
     "struct<a: int8, A: int8>", "list<" * 7 + "int8" + ">" * 7, "decimal(0, 0)", "int9", "struct<select: list<vector<bool, 2>>>"]
)  # fmt: skip
NAME = st.sampled_from(["fuzz", "fuzz_too", "f", "g", "select", "self", "a" * 63, "risk", "spending"])
FEATURE = record(
    {"name": NAME, "dtype": TYPE},
    {"description": TEXTS, "unit": TEXTS, "nullable": st.booleans(), "tags": st.dictionaries(TEXTS, TEXTS, max_size=2)},
)
CHECK = record(
    {"kind": st.sampled_from(["between", "not_null", "one_of", "matches"]), "column": NAME},
    {
        "low": NUMBERS,
        "high": NUMBERS,
        "values": st.lists(NUMBERS | TEXTS, max_size=2),
        "pattern": st.sampled_from(["(", "^a$", "(a*)*b", "\\C"]),
    },
)
ENTITY = record(
    {
        "name": NAME,
        "keys": st.dictionaries(
            st.sampled_from(["k", "self", "key_too"]),
            st.sampled_from(["int64", "string", "bytes", "timestamp", "bool", "date"]),
            min_size=1,
            max_size=2,
        ),
    }
)
GROUP = record(
    {"name": st.sampled_from(["fuzz", "fuzz_too"]), "entity": ENTITY, "features": st.lists(FEATURE, min_size=1, max_size=3)},
    {"event_time": st.sampled_from(["at", "f", None]), "ttl_us": LENGTH, "delay_us": LENGTH, "online": st.booleans(), "known": st.sampled_from(["served", "event"]),
     "timezone": st.sampled_from(["UTC", "Europe/Paris", "America", ""]), "retention_us": LENGTH, "checks": st.lists(CHECK, max_size=2),
     "on_violation": st.sampled_from(["strict", "warn", "off"]), "on_unchanged": st.sampled_from(["store", "skip"]), "owner": TEXTS},
)  # fmt: skip
REFERENCE = st.recursive(
    record({"group": NAMES_OF, "feature": st.sampled_from(["orders", "returned", "f64", "f", "g"])}, {"alias": NAME}),
    lambda inner: record({"group": NAMES_OF, "feature": st.sampled_from(["orders", "f"]), "on": st.dictionaries(st.sampled_from(["customer_id", "k"]), inner | TEXTS, max_size=2)}),
    max_leaves=3,
)  # fmt: skip
VIEW = record(
    {"name": NAME, "features": st.lists(REFERENCE, min_size=1, max_size=3)},
    {
        "log": st.sampled_from([0, 0.5, 1]),
        "log_retention_us": LENGTH,
        "tags": st.dictionaries(TEXTS, TEXTS, max_size=1),
    },
)
DEFINITIONS = record({"groups": st.lists(GROUP, max_size=2), "views": st.lists(VIEW, max_size=2)})
COLUMNS = st.integers(0, 2).flatmap(
    lambda n: record({name: st.lists(near(kind), min_size=n, max_size=n) for name, kind in {**SPENT, "event_timestamp": TIMES | NUMBERS}.items()})
)  # fmt: skip
COMMITS = st.dictionaries(NAMES_OF, st.integers(-1, 3), max_size=3) | TEXTS


def of(**bodies):
    """Make names with bodies that fit them; now and then one that does not."""
    kinds = {"spending": ["spending", "spending@1", "risk", "logged", "risk@1"], "everything": ["everything"]}
    fitting = [st.tuples(st.sampled_from(kinds[name]), body) for name, body in bodies.items()]
    return st.integers(0, 9).flatmap(
        lambda roll: st.one_of(fitting) if roll else st.tuples(NAMES_OF, st.one_of(list(bodies.values())))
    )


def online(keys):
    return record(
        {"keys": keys | st.lists(keys, max_size=20)},
        {**FLAGS, "orient": ORIENT, "request": record({}, {"amount": NUMBERS})},
    )


def push(records):
    more = {
        "meta": st.dictionaries(TEXTS, TEXTS, max_size=2),
        "idempotency_key": TEXTS,
        "on_conflict": st.sampled_from(["error", "last"]),
    }
    return record({"records": records | st.lists(records, max_size=3)}, more)


def historical(keys):
    by_rows = st.lists(record({**keys, "at": TIMES}, {"label": JUNK}), max_size=4)
    by_columns = st.integers(0, 3).flatmap(
        lambda n: record({name: st.lists(kind, min_size=n, max_size=n) for name, kind in {**keys, "at": TIMES}.items()})
    )
    more = {
        "known": st.sampled_from(["served", "event"]) | TIMES,
        "commits": COMMITS,
        "statuses": st.booleans(),
        "full_names": st.booleans(),
        "timezone": st.sampled_from(["UTC", "America"]),
        "orient": ORIENT,
    }
    return record({"spine": by_rows | by_columns, "time": st.just("at") | TIMES}, more)


RECEIPT = {
    "view": st.sampled_from(["risk@1", "logged@1"]),
    "keys": record(CUSTOMER),
    "request": record({}),
    "clock": TIMES,
    "commits": record({"spending@1": st.integers(0, 3)}),
    "semantics": st.integers(0, 3),
    "applying": st.booleans(),
}
NEAR = {
    "online": of(spending=online(record(CUSTOMER)), everything=online(record(VISIT))),
    "push": of(spending=push(record(SPENT)), everything=push(record({**VISIT, "at": TIMES}, FULL))),
    "historical": of(spending=historical(CUSTOMER), everything=historical(VISIT)),
    "plan": st.tuples(st.just(""), DEFINITIONS),
    "apply": st.tuples(st.just(""), DEFINITIONS),
    "replay": st.tuples(st.just(""), record(RECEIPT)),
    "feast_online": st.tuples(st.just(""), record({"entities": record({"customer_id": st.lists(near(st.integers(0, 12)), max_size=3)})}, {"features": st.lists(st.sampled_from(["spending:orders", "risk:returned", "x", ":", "a:b"]), max_size=3), "feature_service": NAMES_OF, "full_feature_names": st.booleans()})),
    "feast_push": st.tuples(st.just(""), record({"push_source_name": st.just("spending") | NAMES_OF, "df": COLUMNS}, {"to": TEXTS})),
    "feast_write": st.tuples(st.just(""), record({"feature_view_name": st.just("spending") | NAMES_OF, "df": COLUMNS})),
}  # fmt: skip


def try_near(fuzzed, name, examples):
    _, address, operations = fuzzed
    operation = operations[name]

    @few(examples)
    @given(NEAR[name])
    def check(asked):
        about, body = asked
        path = operation.path.replace("{view}", about).replace("{group}", about)
        answer = requests.post(address + path, data=json.dumps(body), timeout=60)
        assert answer.status_code < 500, answer.text
        operation.validate_response(answer)

    check()


@pytest.mark.parametrize("name", NEAR)
def test_what_is_nearly_right_is_answered_as_the_document_says(fuzzed, name):
    try_near(fuzzed, name, FEW)


@pytest.mark.long
@pytest.mark.parametrize("name", NEAR)
def test_a_lot_that_is_nearly_right_is_answered_as_the_document_says(fuzzed, name):
    try_near(fuzzed, name, MANY)
