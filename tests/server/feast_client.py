"""Feast's own client before our server; runs in Feast's environment, see test_feast.py."""

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

folder, address, now = Path(sys.argv[1]), sys.argv[2], datetime.fromisoformat(sys.argv[3])
(folder / "feature_store.yaml").write_text(
    f"project: moved\nregistry: {folder}/registry.db\nprovider: local\nentity_key_serialization_version: 3\n"
    f"online_store:\n  type: remote\n  path: {address}\n"
)
pd.DataFrame({"customer_id": [1], "at": [now], "orders": [1], "returned": [0.0]}).to_parquet(folder / "rows.parquet")
source = FileSource(path=str(folder / "rows.parquet"), timestamp_field="at")
customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)
spending = FeatureView(
    name="spending",
    entities=[customer],
    ttl=timedelta(days=30),
    schema=[Field(name="orders", dtype=Int64), Field(name="returned", dtype=Float64)],
    source=source,
)
store = FeatureStore(repo_path=str(folder))
store.apply([customer, spending, FeatureService(name="risk", features=[spending])])
names = ["spending:orders", "spending:returned"]
found = {
    "by name": store.get_online_features(names, [{"customer_id": 4}, {"customer_id": 404}]).to_dict(),
    "by service": store.get_online_features(store.get_feature_service("risk"), [{"customer_id": 9}]).to_dict(),
}
rows = {"customer_id": [77], "at": [now], "orders": [5], "returned": [0.5]}
store.write_to_online_store("spending", pd.DataFrame(rows))
found["written"] = store.get_online_features(names, [{"customer_id": 77}]).to_dict()
sys.stdout.write(json.dumps(found))
