"""The nearest vectors: against NumPy on a bare matrix, and what likely neighbours miss."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from measure import Table, median, seconds, take_turns

import asof
from asof import Entity, Feature, FeatureGroup

SIZES = ((100_000, 128, 20), (1_000_000, 128, 5))
"""Vectors, numbers of each, questions."""

CENTRES, SPREAD = 1_000, 0.7
"""Embeddings lie in heaps: 1,000 of them, each number off its centre's by 0.7 of what centres differ by."""

K = 10


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    exact = Table(
        "The nearest 10 of all vectors, exactly",
        "`store.nearest` by cosine over float32 vectors, median of a question; `numpy` is the product of a matrix of "
        "unit vectors and `argpartition`, with no keys, no versions and no store; `first_s` is the first question of "
        "a process, which reads the rows; `after_push` has a push between two questions; `tenth` is a filter that a "
        "tenth passes; milliseconds but for `first_s`",
        20,
    )
    likely = Table(
        "Likely neighbours",
        "`exact=False`: inverted lists of faiss; `stated` is the recall@10 that answers state, measured on stored "
        "vectors, `recall` that of other vectors against the exact answers; `heaps`: 1,000 heaps of vectors, as "
        "embeddings lie; `random`: normal numbers, the worst case; `lists_s` is the first such question, which makes "
        "the lists",
        20,
    )
    for rows, width, questions in ((6_000, 16, 3),) if quick else SIZES:
        for kind in ("heaps", "random") if rows <= SIZES[0][0] else ("heaps",):
            with asof.open(folder / f"{kind} {rows}") as store:
                measured(exact, likely, store, kind, rows, width, questions)
    return [exact, likely]


def measured(exact, likely, store, kind, rows, width, questions):  # noqa: PLR0913, PLR0917 - one comparison
    random = np.random.default_rng(5)
    vectors, asked = made(random, kind, rows + questions, width)[:rows], made(random, kind, questions, width)
    fill(store, vectors)
    first = seconds(lambda: store.nearest("items", "e", asked[0], K))
    if kind == "heaps":
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        at = iter(range(10**9))
        sides = {
            "store": lambda: store.nearest("items", "e", asked[next(at) % questions], K),
            "numpy": lambda: bare(unit, asked[next(at) % questions]),
            "tenth": lambda: store.nearest("items", "e", asked[next(at) % questions], K, where={"tag": 3}),
        }
        found = {side: median(each) for side, each in take_turns(sides, questions).items()}
        pushed = median([after_push(store, asked, number) for number in range(min(5, questions))])
        exact.add(
            vectors=rows, numbers=width, ms=found["store"] * 1e3, numpy=found["numpy"] * 1e3,
            ratio=found["store"] / found["numpy"], tenth=found["tenth"] * 1e3, after_push=pushed * 1e3, first_s=first,
        )  # fmt: skip
    lists = seconds(lambda: store.nearest("items", "e", asked[0], K, exact=False))
    took, hits, stated = [], 0, 1.0
    for vector in asked:
        true = ids(store.nearest("items", "e", vector, K))
        took.append(seconds(lambda v=vector: store.nearest("items", "e", v, K, exact=False)))
        answer = store.nearest("items", "e", vector, K, exact=False)
        hits, stated = hits + len(true & ids(answer)), answer.recall
    likely.add(
        vectors=rows, kind=kind, ms=median(took) * 1e3, stated=stated, recall=hits / (K * questions), lists_s=lists
    )


def made(random, kind, count, width):
    """Return vectors; those of one kind lie in the same heaps."""
    numbers = random.standard_normal((count, width), np.float32)
    if kind == "random":
        return numbers
    centres = np.random.default_rng(3).standard_normal((CENTRES, width), np.float32)
    return centres[random.integers(CENTRES, size=count)] + np.float32(SPREAD) * numbers


def fill(store, vectors):
    """Store vectors under numbers."""
    features = [Feature("e", f"vector<float32, {vectors.shape[1]}>"), Feature("tag", "int64")]
    store.apply(
        FeatureGroup("items", entity=Entity("item", {"id": "int64"}), event_time="at", features=features, online=True)
    )
    moment = datetime.now(UTC) - timedelta(hours=1)  # noqa: TID251 - the rows are of now
    for start in range(0, len(vectors), 100_000):
        part = vectors[start : start + 100_000]
        numbers = np.arange(start, start + len(part))
        columns = {
            "id": numbers,
            "at": pa.array([moment] * len(part), pa.timestamp("us", "UTC")),
            "e": pa.FixedSizeListArray.from_arrays(part.ravel(), part.shape[1]),
            "tag": numbers % 10,
        }
        store.backfill("items", pa.table(columns))


def after_push(store, asked, number):
    """Return how long a question takes right after a push."""
    now = datetime.now(UTC)  # noqa: TID251 - a row of now
    store.push("items", {"id": number, "at": now, "e": asked[number].tolist(), "tag": None})
    return seconds(lambda: store.nearest("items", "e", asked[number], K))


def bare(unit, vector):
    """Return the places of the nearest rows of a matrix."""
    scores = unit @ (vector / np.linalg.norm(vector))
    return np.argpartition(-scores, K)[:K]


def ids(answer):
    return set(answer.to_arrow().column("id").to_pylist())
