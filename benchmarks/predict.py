"""What a prediction costs beside the model alone: one by one from the newest features, and in batches; two minutes."""

from datetime import timedelta

import numpy as np
from data import START, Hands, groups, rows, start_us
from measure import Table, calls_us, median, percentile, take_turns
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

import asof
from asof import FeatureView
from asof.transforms import Impute, Standard

GROUP = groups(online=True)[0]
NAMES = [feature.name for feature in GROUP.features]
MODELS = {"a tree": DecisionTreeRegressor(max_depth=8), "a linear model": Ridge()}


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    keys, spine, calls, rounds = (500, 2000, 50, 1) if quick else (20_000, 20_000, 1000, 5)
    now = START + timedelta(days=1)
    random = np.random.default_rng(1)
    with asof.open(folder / "store", clock=Hands(now)) as store:
        view = FeatureView("scored", features=[GROUP], transforms={tuple(NAMES): [Impute("mean"), Standard()]})
        store.apply(GROUP, view)
        store.backfill(GROUP.name, rows(0, np.arange(keys), start_us() + np.arange(keys)))
        asked = {"user": random.integers(0, keys, spine), "label": random.normal(size=spine)}
        made = store.training_set("scored", view="scored", spine=asked, time=now, label="label")
        x, y = made.xy()
        one_row = x.iloc[:1]
        some = [{"user": int(key)} for key in random.integers(0, keys, calls)]
        table = {"user": asked["user"]}
        one = Table("One prediction", f"microseconds, {len(NAMES)} features, each transformed; {calls:,} keys", rounds)
        many = Table("Predictions in a batch", f"seconds for {spine:,} rows, each answered from history", rounds)
        for kind, model in MODELS.items():
            model.fit(x, y)
            store.models.register("scored", model, training_set=made, stage="production")
            predictor = store.models.load("scored@production")
            sides = {
                "predict_one": lambda p=predictor: calls_us(lambda keys_of: p.predict_one(keys_of).value, some),
                "online and transforms": lambda: calls_us(
                    lambda keys_of: made.fitted.values(store.online("scored", keys_of).values), some
                ),
                "the model alone": lambda m=model: calls_us(lambda _: m.predict(one_row), some),
            }
            taken = take_turns(sides, rounds, lambda side: side())
            alone = median(percentile(times, 50) for times in taken["the model alone"])
            for name, each in taken.items():
                p50 = median(percentile(times, 50) for times in each)
                p99 = median(percentile(times, 99) for times in each)
                one.add(model=kind, what=name, p50_us=p50, p99_us=p99, ratio_to_the_model=p50 / alone)
            batch = {
                "predict": lambda p=predictor: p.predict(table, time=now),
                "historical and transforms": lambda: made.transform(store.historical("scored", table, time=now)),
                "the model alone": lambda m=model: m.predict(x),
            }
            seconds = take_turns(batch, rounds, lambda side: calls_us(lambda _: side(), [None])[0] / 1e6)
            for name, each in seconds.items():
                took = median(each)
                many.add(model=kind, what=name, seconds=took, rows_per_second=spine / took)
    return [one, many]
