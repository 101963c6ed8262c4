"""Stores whose history lies on S3, through a proxy that answers late, or badly."""

import uuid

import pytest
from tests.objects.weather import WEATHER, row, temps

import asof
from asof.offline import objects
from asof.testing.s3_proxy import S3Proxy


@pytest.fixture
def proxy(s3_server):
    """Give a proxy before the object storage."""
    with S3Proxy(s3_server.port) as made:
        yield made


@pytest.fixture
def cache(tmp_path):
    """Give the folder of the file cache."""
    return tmp_path / "cache" / "asof"


@pytest.fixture
def bucket(s3_server, proxy, cache, monkeypatch):
    """Set the environment for a bucket behind the proxy, and give the URL of an empty prefix in it."""
    for name, value in s3_server.environment(proxy.endpoint).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASOF_CACHE", str(cache.parent))
    monkeypatch.setattr(objects, "PATIENCE_SECONDS", 2)
    return f"s3://{s3_server.BUCKET}/{uuid.uuid4().hex[:12]}"


@pytest.fixture
def folder(bucket, tmp_path):
    """Give the folder of a feature store."""
    made = tmp_path / "features"
    made.mkdir()
    (made / "asof.toml").write_text(f'format = 1\nhistory = "{bucket}"\n')
    return made


@pytest.fixture
def store(folder):
    """Give a feature store with a group of three commits."""
    with asof.open(folder) as opened:
        opened.apply(WEATHER)
        for day in range(3):
            opened.backfill("weather", [row(o, 3 * day + h, 10.0 * day + h) for o in ("JFK", "LGA") for h in range(3)])
        yield opened


@pytest.fixture
def answers():
    """Give a function that asks a store for the temperatures of twelve hours."""
    return temps
