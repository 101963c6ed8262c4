"""The pages as they are answered: what they show and to whom, and what goes out with them."""

import http.client
import re
import time
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from tests.server.conftest import Server
from tests.ui.conftest import MARKUP, NOW, Ui, made

import asof

PAGES = (
    "/",
    "/search?q=orders",
    "/search/hits?q=orders",
    "/groups",
    "/groups?only=stale",
    "/groups/spending",
    "/groups/spending/data",
    "/groups/spending/lookup?key.customer_id=7",
    "/groups/spending/lookup?key.customer_id=7&why=spending/orders",
    "/groups/spending/commits",
    "/groups/spending/versions",
    "/groups/spending/checks",
    "/groups/spending/statistics",
    "/groups/spending/statistics?feature=note",
    "/groups/sensor",
    "/groups/sensor/checks",
    "/groups/sensor/quarantine",
    "/groups/sensor/statistics?feature=heat&over=commits",
    "/groups/sensor/statistics?feature=kind&of=sensor@1:2",
    "/groups/sensor/drift",
    "/groups/sensor/drift?current=sensor@1:2&baseline=sensor@1:1",
    "/groups/sensor_quarantine/data",
    "/lineage/sensor",
    "/groups/visits@1",
    "/groups/visits/versions",
    "/groups/visit_windows",
    "/groups/visit_windows/lookup?key.customer_id=7&why=visit_windows/count_1d",
    "/groups/outside",
    "/groups/risk_log",
    "/views",
    "/views/risk",
    "/views/risk/lookup?key.customer_id=7&why=risk/orders",
    "/views/risk/proof?run=1",
    "/views/risk/versions",
    "/entities",
    "/entities/customer?key.customer_id=7",
    "/lineage",
    "/lineage/risk",
    "/lineage/visits",
    "/jobs",
    "/audit",
    "/docs",
)
LARGE = (
    "/",
    "/search?q=figure",
    "/groups",
    "/groups/group_041",
    "/groups/group_041/data",
    "/groups/group_041/lookup?key.key_1=1",
    "/views",
    "/views/view_07",
    "/entities",
    "/entities/entity_03?key.key_3=1",
    "/lineage",
    "/lineage/view_07",
    "/jobs",
    "/audit",
)
MOST_BYTES = 100_000


class Tags(HTMLParser):
    """The tags of a page with their attributes, as a browser sees them.

    Attributes:
        found: (tag, attributes).
    """

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def shown(server, path, **headers):
    status, text, answered = server.get(path, **headers)
    assert status == 200, text
    return text, answered


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_small_and_forbids_all_but_its_own_files(small, path):
    text, headers = shown(small, path)
    assert len(text.encode()) < MOST_BYTES
    assert headers["content-type"] == "text/html; charset=utf-8"
    if path == "/docs":
        return
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert headers["referrer-policy"] == "same-origin"
    for tag, attributes in Tags(text).found:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        assert tag != "style"
        assert tag != "script" or attributes["src"].startswith("/static/")


@pytest.mark.parametrize("path", LARGE)
def test_a_page_is_small_with_5000_features(large, path):
    assert len(shown(large, path)[0].encode()) < MOST_BYTES


@pytest.mark.parametrize("path", PAGES)
def test_no_text_of_a_store_becomes_markup(small, path):
    text = shown(small, path)[0]
    assert MARKUP not in text
    assert "<b onmouseover" not in text


def test_texts_are_shown_as_they_are(small):
    for path in ("/groups/spending", "/groups/spending/data", "/groups/spending/commits", "/entities/customer"):
        assert "&lt;script&gt;alert(" in shown(small, path)[0]


@pytest.mark.parametrize("words", [MARKUP, '"><img src=x>', "' or 1", "%", "\x00", "ü" * 500])
def test_what_somebody_types_does_not_become_markup(small, words):
    for path in ("/search?q=", "/search/hits?q=", "/groups/spending/commits?matching=", "/audit?matching="):
        text = shown(small, path + quote(words))[0]
        assert "<img" not in text.replace('<img src="/static/asof.svg', "")
        assert MARKUP not in text


def test_files_are_kept_by_browsers_for_as_long_as_they_do_not_change(small):
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', shown(small, "/")[0])
    assert {path.partition("?")[0] for path in found} == {"/static/asof.css", "/static/asof.js", "/static/asof.svg"}
    for path in found:
        status, content, headers = small.get(path)
        assert (status, "immutable" in headers["cache-control"]) == (200, True)
        assert len(content) < 20_000


def test_the_home_page_counts_and_says_what_is_stale(small):
    text = shown(small, "/")[0]
    assert re.search(r"<b>9</b> <span>groups</span>", text)
    assert re.search(r"<b>1</b> <span>stale groups</span>", text)
    assert re.search(r"<b>1</b> <span>failing groups</span>", text)
    assert "newest row is 2 d old, ttl is 1 h" in text
    assert "the last write: 1 row breaks &#39;heat between -40 and 60&#39;" in text
    assert "spending@1:3" in text
    assert ">stale<" in shown(small, "/groups?only=stale")[0]


def test_what_is_unknown_is_not_there(small):
    for path in ("/groups/nothing", "/groups/spending/nothing", "/views/nothing", "/entities/nothing", "/nowhere"):
        status, text, _ = small.get(path)
        assert status == 404, path
        if path != "/nowhere":  # the API's own answer
            assert "unknown" in text
    assert "did you mean &#39;spending&#39;" in small.get("/groups/spendin")[1]
    assert small.get("/groups/spending/proof")[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_pages_are_only_read(small, method):
    for path in ("/", "/groups/spending", "/views/risk/lookup"):
        assert small.request(method, path, b"")[0] == 405


def test_tables_sort_and_have_pages_by_links(large):
    names = re.findall(r'href="/groups/(group_\d+)"', shown(large, "/groups")[0])
    assert names == [f"group_{number:03}" for number in range(50)]
    back = re.findall(r'href="/groups/(group_\d+)"', shown(large, "/groups?groups.sort=-name&groups.page=2")[0])
    assert back == [f"group_{number:03}" for number in range(449, 399, -1)]
    most = re.findall(r'href="/groups/(group_\d+)"', shown(large, "/groups?groups.sort=-rows")[0])
    assert set(most) <= {f"group_{number:03}" for number in range(60)}
    for page in ("0", "-1", "11", "99999999999999999999", "x", "\uff11"):
        assert "group_" in shown(large, f"/groups?groups.page={quote(page)}")[0]


def test_thousands_of_hits_have_pages_the_best_first(large):
    def names(text):
        return re.findall(r'<tr>\n<td[^>]*><a href="[^"]*">([^<]+)</a>', text)

    text = shown(large, "/search?q=figure")[0]
    (total,) = re.findall(r"<p>([\d,]+) found for", text)
    pages = -(-int(total.replace(",", "")) // 50)
    assert pages >= 100
    seen = names(text)
    assert len(seen) == 50
    for page in range(2, 5):  # by the links, as somebody reads on
        (link,) = re.findall(r'<a href="([^"]+)" rel="next">', text)
        text = shown(large, "/search" + link.partition("#")[0].replace("&amp;", "&"))[0]
        assert f"page {page} of {pages}" in text
        seen += names(text)
    assert len(set(seen)) == 200
    last = shown(large, f"/search?q=figure&hits.page={pages}")[0]
    assert names(last)
    assert 'rel="next"' not in last
    assert not {*names(last)} & {*seen}
    assert names(shown(large, "/search?q=f041_3")[0])[0] == "group_041.f041_3"


def test_a_key_is_looked_up_and_explained(small):
    text = shown(small, "/views/risk/lookup?key.customer_id=7")[0]
    assert re.search(r"<code>orders</code>.*?<b>9</b>.*?PRESENT", text, re.DOTALL)
    assert "visit_windows@1" not in text.partition("<h2>Look up</h2>")[2]
    missing = shown(small, "/views/risk/lookup?key.customer_id=999")[0]
    assert "MISSING" in missing
    why = shown(small, "/groups/spending/lookup?key.customer_id=7&why=spending/orders")[0]
    assert "orders of 7 at" in why
    assert "before the row that answered" in why
    then = (NOW.replace(tzinfo=None)).isoformat()
    early = shown(small, f"/groups/visits/lookup?key.shop_id=A&at={then}")[0]
    assert re.search(r"<code>paid</code>.*?(2.5|MISSING)", early, re.DOTALL)


def test_a_look_up_leaves_no_trace_in_the_serving_log(tmp_path):
    server = Server(made(tmp_path / "store"), ["--no-flight"])
    shown(server, "/views/risk/lookup?key.customer_id=7")
    server.stop()
    with asof.open(tmp_path / "store") as store:
        assert store.read("risk_log").to_arrow().num_rows == 0


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("x", "is no int64"),
        ("1.5", "is no int64"),
        ("", "MISSING"),
        (MARKUP, "is no int64"),
        ("99999999999999999999", "is no int64"),
    ],
)
def test_a_key_of_another_type_is_named(small, typed, said):
    text = shown(small, f"/groups/spending/lookup?key.customer_id={quote(typed)}")[0]
    assert said in text
    assert MARKUP not in text


@pytest.mark.parametrize("at", ["yesterday", "2026-13-01", "2026-01-01T12:00:00+99:00", "0001-01-01", "99999-01-01"])
def test_a_time_that_is_none_is_named(small, at):
    for path in ("/groups/spending/data?at=", "/groups/spending/lookup?key.customer_id=7&at="):
        status, text, _ = small.get(path + quote(at))
        assert (status, "500" in text.partition("<h1>")[2].partition("</h1>")[0]) == (200, False)
    assert "is no time" in shown(small, "/groups/spending/data?at=yesterday")[0]


def test_data_are_shown_as_of_a_time(small):
    def orders(path):
        cells = re.findall(r"<tr>\n<td[^>]*>7</td>(.*?)</tr>", shown(small, path)[0], re.DOTALL)
        return re.findall(r"<td[^>]*>([^<]*)</td>", cells[0])[1] if cells else None

    earlier = NOW.timestamp() - 2.5 * 3600
    then = quote(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(earlier)))
    assert orders("/groups/spending/data") == "9"
    assert orders(f"/groups/spending/data?at={then}") == "7"
    assert orders(f"/groups/spending/data?at={then}&known=served") is None  # it was written only just now
    assert "The first 50 keys" in shown(small, "/groups/spending/data")[0]


def test_checks_and_quarantine_say_what_broke(small):
    text = shown(small, "/groups/sensor/checks")[0]
    assert (text.count(">hold<"), text.count(">broken</span>")) == (2, 2)
    assert "broken, by write" in text
    text = shown(small, "/groups/sensor/quarantine")[0]
    assert text.partition("</form>")[2].count(">999.0<") == 2
    assert "2 rows broke a check" in text
    assert small.get("/groups/spending/quarantine")[0] == 404


def test_statistics_are_of_all_commits_or_of_one(small):
    text = shown(small, "/groups/sensor/statistics?feature=heat")[0]
    assert "90 rows of" in text
    assert "rows by heat" in text
    assert "mean heat of each commit" not in text
    assert "mean heat of each commit" in shown(small, "/groups/sensor/statistics?feature=heat&over=commits")[0]
    text = shown(small, "/groups/sensor/statistics?feature=heat&of=sensor@1:3")[0]
    assert "22 rows of" in text
    for of in ("nothing", "spending@1:1", MARKUP):
        text = shown(small, f"/groups/sensor/statistics?of={quote(of)}")[0]
        assert 'role="alert"' in text
        assert MARKUP not in text


def test_drift_is_between_commits(small):
    text = shown(small, "/groups/sensor/drift")[0]
    assert ">heat<" in text
    assert "psi" in text
    assert 'role="alert"' in shown(small, "/groups/sensor/drift?current=nothing")[0]
    assert ">heat [" in shown(small, "/groups/sensor/drift?by=shop_id")[0]
    for wrong in ("heat", "nothing", MARKUP):
        text = shown(small, f"/groups/sensor/drift?by={quote(wrong)}")[0]
        assert 'role="alert"' in text
        assert MARKUP not in text


def test_versions_say_what_changed(small):
    text = shown(small, "/groups/visits/versions")[0]
    assert "+ seconds: int64" in text
    assert 'class="added"' in text


def test_lineage_leads_from_events_to_the_log(small):
    text = shown(small, "/lineage/risk")[0]
    for name in ("spending@1", "visits@1", "visit_windows@1", "risk@1", "risk_log@1"):
        assert 'aria-label="' in text
        assert f" {name}</title>" in text
    assert "stale@1" not in text
    assert "parquet:/nowhere/x" in shown(small, "/lineage/outside")[0]


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """Give a server that asks for keys, and the keys."""
    folder = made(tmp_path_factory.mktemp("closed") / "store")
    with asof.open(folder) as store:
        keys = {
            "admin": store.keys.add("admin", {"*": "admin"}).token,
            "reader": store.keys.add("reader", {"": "reader"}).token,
            "gone": store.keys.add("gone", {"*": "admin"}).token,
        }
        store.keys.revoke("gone")
    server = Server(folder, ["--no-flight"])
    yield server, keys
    server.stop()


def sign_in(server, key, after="/"):
    return posted(server, f"/sign-in?next={quote(after, safe='')}", f"key={quote(key)}")


def posted(server, path, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", path, body.encode(), {**kind, **headers})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer, text


def cookie(server, key):
    answer, _ = sign_in(server, key)
    assert answer.status == 303
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def test_without_a_key_there_is_a_form_and_nothing_else(closed):
    server, _ = closed
    for path in ("/", "/groups/spending", "/search/hits?q=orders", "/lineage", "/audit", "/views/risk/lookup"):
        status, text, _ = server.get(path)
        assert status == 401, path
        assert "spending" not in text.replace("/groups/spending", "").replace(quote("/groups/spending", safe=""), "")
        assert f"next={quote(path, safe='')}" in text
    assert server.get("/static/asof.css")[0] == 200
    assert (server.get("/sign-in")[0], server.get("/sign-in?next=/views")[0]) == (200, 200)


def test_the_cookie_is_for_pages_alone(closed):
    server, keys = closed
    answer, _ = sign_in(server, keys["admin"], "/groups/spending?x=1")
    assert (answer.status, answer.headers["location"]) == (303, "/groups/spending?x=1")
    set_cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in set_cookie
    assert "samesite=strict" in set_cookie
    assert "max-age=43200" in set_cookie
    headers = cookie(server, keys["admin"])
    assert server.get("/groups", **headers)[0] == 200
    assert server.get("/v1/groups", **headers)[0] == 401
    assert server.request("POST", "/v1/groups/spending/push", b'{"records": []}', headers)[0] == 401
    assert "Sign out" in server.get("/", **headers)[1]
    answer, _ = posted(server, "/sign-out", "", **headers)
    assert (answer.status, "max-age=0" in answer.headers["set-cookie"].lower()) == (303, True)


def test_a_key_that_is_not_valid_opens_nothing(closed):
    server, keys = closed
    for key in ("", "x", "asof_a_b", keys["gone"], keys["admin"] + "x", "é", "x" * 20_000):
        answer, text = sign_in(server, key)
        assert (answer.status, answer.headers["set-cookie"]) == (401, None), key
        assert "<form" in text
    assert server.get("/", Cookie="asof_key=asof_a_b")[0] == 401


@pytest.mark.parametrize(
    "after", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\n"]
)
def test_signing_in_leads_to_this_server_only(closed, after):
    server, keys = closed
    assert sign_in(server, keys["admin"], after)[0].headers["location"] == "/"


def test_a_caller_sees_what_he_may_read(closed):
    server, keys = closed
    reader, admin = cookie(server, keys["reader"]), cookie(server, keys["admin"])
    for path in ("/", "/groups", "/search?q=secret", "/search/hits?q=secret", "/entities/customer", "/lineage"):
        assert "secret@1" not in server.get(path, **reader)[1], path
        assert "/groups/secret" not in server.get(path, **reader)[1], path
    assert "/groups/secret" in server.get("/groups", **admin)[1]
    for tab in ("", "/data", "/lookup?key.customer_id=7", "/commits", "/versions"):
        status, text, _ = server.get(f"/groups/secret{tab}", **reader)
        assert (status, "42" in text) == (404, False)
    assert "&#39;secret&#39;" not in server.get("/groups/secre", **reader)[1]
    assert "&#39;secret&#39;" in server.get("/groups/secre", **admin)[1]
    assert "42" in server.get("/groups/secret/lookup?key.customer_id=7", **admin)[1]
    assert server.get("/audit", **reader)[0] == 403
    assert 'href="/audit"' not in server.get("/", **reader)[1]
    assert "keys revoke" in server.get("/audit", **admin)[1]


def test_a_server_answers_pages_under_its_own_name_only(small):
    assert small.get("/", Host="evil.example")[0] == 421
    assert small.get("/", Origin="http://evil.example")[0] == 403


@pytest.fixture(scope="module")
def ui(tmp_path_factory):
    running = Ui(made(tmp_path_factory.mktemp("ui") / "store"))
    yield running
    assert running.stop() == 0


def test_asof_ui_shows_a_store_without_an_api(ui):
    for path in PAGES:
        status = ui.get(path)[0]
        assert status == (404 if path == "/docs" else 200), path
    assert ui.get("/v1/groups")[0] == 404
    assert "curl" not in ui.get("/groups/spending")[1]
    assert 'href="/docs"' not in ui.get("/")[1]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""])
def test_asof_ui_answers_under_the_names_of_this_machine_only(ui, host):
    assert ui.get("/", Host=host)[0] == 400
    assert ui.get("/", Host=f"localhost:{ui.port}")[0] == 200


def test_what_the_server_counted_is_shown(small):
    for key in range(3):
        small.post("/v1/views/risk/online", {"keys": {"customer_id": key}})
    text = shown(small, "/views/risk")[0]
    assert "p99 in the server" in text
    assert "answers by latency" in text
    assert re.search(r"online.*?200", shown(small, "/jobs")[0], re.DOTALL)
