"""The Delta history passes the suite that asof ships on object storage too; see test_delta.py."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import obstore
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from obstore.store import from_url

from asof.offline.port import History
from asof.records import DataFile
from asof.testing.adapters import open_adapter
from asof.testing.history import HistorySuite
from asof.testing.servers import S3Server


class TestDeltaOnS3(HistorySuite):
    adapter = "s3"
    url = f"s3://{S3Server.BUCKET}"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def served(cls, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in s3_server.environment().items():  # the suite's processes inherit them
                patch.setenv(name, value)
            patch.setenv("ASOF_CACHE", str(tmp_path_factory.mktemp("cache")))
            yield

    def url_of(self, root: Path) -> str:
        return f"{self.url}/{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"

    def objects(self, url: str):
        return from_url(url, client_options={"allow_http": True})

    def open(self, root: Path) -> History:
        return open_adapter("history", self.adapter, self.url_of(root))

    def names(self, root: Path) -> list[str]:
        return [entry["path"] for entry in obstore.list(self.objects(self.url_of(root))).collect()]

    def stored(self, history: History, file: DataFile) -> bytes:
        url, _, name = history.location(file.path).rpartition("/")
        return bytes(obstore.get(self.objects(url), name).bytes())

    def damage(self, history: History, file: DataFile, content: bytes | None) -> None:
        url, _, name = history.location(file.path).rpartition("/")
        if content is None:
            obstore.delete(self.objects(url), name)
        else:
            obstore.put(self.objects(url), name, content)

    def read_mirror(self, history, table) -> pa.Table:
        options = {"allow_http": "true", "endpoint": os.environ["AWS_ENDPOINT_URL"]}
        try:
            delta = DeltaTable(history.location(table.name), storage_options=options)
        except TableNotFoundError:
            return table.schema.empty_table()
        return pa.table(delta.to_pyarrow_dataset().to_table())
