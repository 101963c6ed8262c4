"""The pipeline as assets of Dagster: `dagster dev -f dagster_assets.py`, or a daily schedule of the partitions.

The variables ASOF_STORE and ASOF_INBOX say where the store is, and where the files arrive. Of a partition that is
materialized again nothing is stored twice: its day is the idempotency key.
"""

import os

import dagster as dg

from asof import pipelines

STORE = os.environ["ASOF_STORE"]
DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01")


@dg.asset(partitions_def=DAYS)
def weather(context: dg.AssetExecutionContext):
    file = f"{os.environ['ASOF_INBOX']}/weather-{context.partition_key}.csv"
    verdict = pipelines.validate(STORE, "weather", file)
    if not verdict["passed"]:
        raise dg.Failure("the file breaks a check", metadata={"report": verdict["report"]}, allow_retries=False)
    commit = pipelines.write(STORE, "weather", file, idempotency_key=f"weather {context.partition_key}")
    return dg.MaterializeResult(metadata={"commit": commit["commit"], "rows": commit["rows"]})


@dg.asset(partitions_def=DAYS, deps=[weather])
def comfort():
    return dg.MaterializeResult(metadata={"rows": pipelines.materialize(STORE, "comfort")["rows"]})


@dg.asset_check(asset=comfort)
def online_equals_history():
    found = pipelines.verify(STORE, "departure")
    return dg.AssetCheckResult(passed=found["passed"], metadata={"report": found["report"]})


definitions = dg.Definitions(assets=[weather, comfort], asset_checks=[online_equals_history])
