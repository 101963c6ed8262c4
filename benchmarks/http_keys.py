"""What it costs to ask who is asking: the same reads of `asof serve` without keys, with a key, and with more.

The store of `http_reads`; one entity a request, over connections that stay open, the load generator on the same cores.
"""

import asyncio
import json
import sys
from contextlib import ExitStack
from datetime import timedelta

import numpy as np
from data import START, Hands, groups, rows, start_us, view
from http_reads import CONNECTIONS, SERVE, ask_once, load, serving
from joserfc import jwt
from joserfc.jwk import ECKey
from measure import Table, median, percentile

import asof
from asof.clock import system_us

ISSUER, AUDIENCE = "https://login.example", "features"


def run(folder, *, quick):
    """Return the table of this benchmark; about a minute."""
    keys, seconds, rounds = (500, 0.1, 1) if quick else (100_000, 2.0, 5)
    declared = groups(online=True)
    stores = {name: folder / name for name in ("open", "closed")}
    for place in stores.values():
        with asof.open(place, clock=Hands(START + timedelta(days=1))) as store:
            store.apply(*declared, view(declared))
            for at, group in enumerate(declared):
                store.backfill(group.name, rows(at, np.arange(keys), start_us() + np.arange(keys)))
    with asof.open(stores["closed"]) as store:
        every = store.keys.add("every", {"*": "reader"}).token
        one = store.keys.add("one", {"": "reader"}).token
    signing = ECKey.generate_key("P-256", {"kid": "k"})
    (folder / "jwks.json").write_text(json.dumps({"keys": [signing.as_dict(private=False)]}))
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "exp": system_us() // 1_000_000 + 3600}
    token = jwt.encode({"alg": "ES256", "kid": "k"}, claims | {"asof": {"": "reader"}}, signing, algorithms=["ES256"])
    issuer = ["--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwt-keys", str(folder / "jwks.json")]
    ways = {
        "no key": ("open", [], None),
        "a key for all projects": ("closed", [], every),
        "a key for one project": ("closed", [], one),
        "the same, with --rate": ("closed", ["--rate", "1000000"], one),
        "a token of an issuer": ("closed", issuer, token),
    }
    table = Table(
        "What keys cost, 8 groups / 55 features over HTTP",
        f"one entity a request, one worker, {CONNECTIONS} connections, each asks as fast as it is answered; "
        f"{seconds:g} s a round, the ways in turn. The load generator shares the cores",
        rounds,
    )
    users = np.random.default_rng(1).integers(0, keys, 2000)
    with ExitStack() as running:
        ports = {}
        for name, (store, options, _) in ways.items():
            command = [sys.executable, "-c", SERVE, "serve", str(stores[store]), "--port", "0", *options]
            ports[name] = running.enter_context(serving(command))
        took = {name: [] for name in ways}
        for round_ in range(rounds + 1):
            for name, (_, _, given) in ways.items():
                requests = [request(int(user), given) for user in users]
                asyncio.run(ask_once(ports[name], requests[0]))
                found = []
                while not found:  # on a machine that has no time for it, none may end within the seconds
                    found = asyncio.run(load(ports[name], requests, seconds, CONNECTIONS, None))
                if round_:
                    took[name].append(found)
    plain = [len(each) for each in took["no key"]]
    for name, found in took.items():
        table.add(
            asked_with=name,
            requests_a_second=median([len(each) / seconds for each in found]),
            p50_ms=median([percentile(each, 50) for each in found]) / 1000,
            p99_ms=median([percentile(each, 99) for each in found]) / 1000,
            ratio_requests=median([len(each) / of for each, of in zip(found, plain, strict=True)]),
        )
    return [table]


def request(user, token):
    """Return the bytes of a request."""
    text = json.dumps({"keys": {"user": user}}).encode()
    key = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"POST /v1/views/everything/online HTTP/1.1\r\nHost: localhost\r\n{key}Content-Length: {len(text)}\r\n\r\n"
    return head.encode() + text
