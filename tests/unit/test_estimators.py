"""Transformers of scikit-learn in views: named, fitted, kept without pickle, and the same for one row and a table."""

import base64
import io
import json
import subprocess
import sys
import zipfile
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
import skops.io
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.definitions.chain import chains_of, step_from
from asof.definitions.documents import view_document
from asof.definitions.estimator import users_codes
from asof.definitions.types import parse_type
from asof.errors import (
    ConflictError,
    DataError,
    MissingDependencyError,
    PermanentError,
    UnsupportedError,
    UsageError,
)
from asof.fitted import Fitted, fit
from asof.fitted.archive import unpack
from asof.fitted.estimators import AT_ONCE
from asof.transforms import Bucket, Impute, OneHot, Standard
from asof.wire.definitions import declared, definition_of

ROWS = 400
TYPES = {
    name: parse_type(dtype)
    for name, dtype in {
        "a": "float64",
        "b": "float64",
        "c": "string",
        "n": "int64",
        "v": "vector<float32, 4>",
    }.items()
}


@pytest.fixture(scope="module")
def table():
    generator = np.random.default_rng(6)
    return pa.table(
        {
            "a": generator.normal(size=ROWS),
            "b": pa.array(generator.gamma(2, 2, ROWS), mask=generator.random(ROWS) < 0.1),
            "c": pa.array(generator.choice(["AA", "DL", "UA"], ROWS), mask=generator.random(ROWS) < 0.1),
            "n": generator.integers(0, 9, ROWS),
            "v": pa.array(generator.normal(size=(ROWS, 4)).astype(np.float32).tolist(), pa.list_(pa.float32(), 4)),
        }
    )


def fitted(transforms, table, where="view v"):
    return fit(chains_of(transforms, TYPES, where=where), table, TYPES, where=where)


def made(found, table):
    whole = found.table(table)
    return np.column_stack([whole.column(name).to_numpy() for name in found.sources])


# ---- what is made


@pytest.mark.parametrize(
    "theirs",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        MinMaxScaler((-1, 1)),
        MaxAbsScaler(),
        RobustScaler(),
        Binarizer(threshold=0.5),
        KBinsDiscretizer(4, encode="onehot", quantile_method="linear"),
        PolynomialFeatures(2),
        PowerTransformer(),
        QuantileTransformer(n_quantiles=50),
        QuantileTransformer(n_quantiles=50, output_distribution="normal"),
        VarianceThreshold(),
        Normalizer(),
        PCA(2),
        TruncatedSVD(1, random_state=0),
        make_pipeline(StandardScaler(), PCA(1)),
    ],
    ids=str,
)
def test_results_are_those_of_scikit_learn_and_the_same_row_by_row(theirs, table):
    matrix = np.column_stack([table.column(name).to_numpy() for name in ("a", "n")]).astype(float)
    wanted = theirs.fit(matrix).transform(matrix)
    found = fitted({("a", "n"): theirs}, table)
    whole = made(found, table)
    np.testing.assert_allclose(whole, wanted.toarray() if hasattr(wanted, "toarray") else wanted, rtol=1e-9, atol=1e-12)
    rows = table.slice(0, 60).to_pylist()
    assert [found.values(row) for row in rows] == found.table(table.slice(0, 60)).to_pylist()
    assert [found.values(row) for row in rows] == found.table(table).slice(0, 60).to_pylist()
    again = Fitted.from_document(json.loads(json.dumps(found.document())))
    assert again.digest == found.digest
    assert again.table(table).equals(found.table(table))


def test_which_transformers_get_whole_batches_is_tried_above():
    tried = {"Binarizer", "KBinsDiscretizer", "MaxAbsScaler", "MinMaxScaler", "PolynomialFeatures", "PowerTransformer"}
    tried |= {"QuantileTransformer", "RobustScaler", "StandardScaler", "VarianceThreshold"}
    below = {"OneHotEncoder", "OrdinalEncoder", "SimpleImputer", "MissingIndicator"}
    assert {code.partition(":")[2] for code in AT_ONCE} == tried | below


@pytest.mark.parametrize(
    ("transforms", "names"),
    [
        ({"a": StandardScaler()}, ["a"]),
        ({("b", "a"): StandardScaler(with_mean=False)}, ["b", "a"]),
        ({("a", "n"): PCA(2)}, ["a+n=pca0", "a+n=pca1"]),
        ({"v": PCA(2)}, ["v=pca0", "v=pca1"]),
        ({"v": StandardScaler()}, ["v_0", "v_1", "v_2", "v_3"]),
        ({"c": OneHotEncoder(handle_unknown="ignore")}, ["c_AA", "c_DL", "c_UA", "c_nan"]),
        ({"c": [OneHot(), PCA(2)]}, ["c=AA+c=DL+c=UA=pca0", "c=AA+c=DL+c=UA=pca1"]),
        ({"a": [Bucket(count=3), OneHotEncoder(sparse_output=False)]}, ["a_0.0", "a_1.0", "a_2.0"]),
        ({"b": MissingIndicator()}, ["b"]),
        ({"c": OrdinalEncoder()}, ["c"]),
        ({"c": SimpleImputer(strategy="most_frequent")}, ["c"]),
        ({"b": SimpleImputer(add_indicator=True)}, ["b", "b=missingindicator_b"]),
        ({"b": [Impute(), StandardScaler()]}, ["b"]),
        ({"b": [SimpleImputer(), Standard()]}, ["b"]),
    ],
)
def test_columns_are_named_and_the_same_row_by_row(transforms, names, table):
    found = fitted(transforms, table)
    assert list(found.sources) == names
    rows = table.slice(0, 40).to_pylist()
    assert [found.values(row) for row in rows] == found.table(table).slice(0, 40).to_pylist()


def test_two_columns_of_one_name_are_refused():
    types = {"c": parse_type("string"), "c_x": parse_type("float64")}
    data = pa.table({"c": ["x", "y"], "c_x": [1.0, 2.0]})
    with pytest.raises(DataError, match="two columns are named 'c_x'"):
        fit(chains_of({"c": OneHotEncoder()}, types, where="view v"), data, types, where="view v")


def test_decimals_are_numbers_and_dates_are_labels():
    types = {"paid": parse_type("decimal(9, 2)"), "day": parse_type("date")}
    data = pa.table(
        {
            "paid": pa.array([Decimal("1.50"), None, Decimal("2.50")], pa.decimal128(9, 2)),
            "day": pa.array([date(2026, 3, 1), None, date(2026, 3, 2)]),
        }
    )
    steps = {"paid": StandardScaler(), "day": OrdinalEncoder(encoded_missing_value=-1)}
    found = fit(chains_of(steps, types, where="view v"), data, types, where="view v")
    assert found.table(data).to_pydict() == {"paid": [-1.0, None, 1.0], "day": [0.0, -1.0, 1.0]}
    assert [found.values(row) for row in data.to_pylist()] == found.table(data).to_pylist()


def test_text_stays_text(table):
    found = fitted({"c": SimpleImputer(strategy="constant", fill_value="?")}, table)
    assert str(found.outputs["c"]) == "string"
    assert set(found.table(table).column("c").to_pylist()) == {"AA", "DL", "UA", "?"}


def test_a_row_with_a_null_gives_nulls_where_the_transformer_takes_none(table):
    found = fitted({("a", "n"): PCA(2)}, table)
    assert found.values({"a": None, "b": 1.0, "c": "AA", "n": 3, "v": None})["a+n=pca0"] is None
    whole = found.table(
        pa.table(
            {
                **{name: table.column(name).slice(0, 2) for name in ("b", "c", "v")},
                "a": pa.array([None, 1.0]),
                "n": pa.array([1, 2]),
            }
        )
    )
    assert whole.column("a+n=pca1").null_count == 1


def test_a_null_in_training_is_an_error_that_names_the_way_out(table):
    with pytest.raises(DataError, match=r"NaN.*view v, transforms of b, PCA\(n_components=1\).*impute first"):
        fitted({("b",): PCA(1)}, table)


def test_an_empty_split_is_refused(table):
    with pytest.raises(DataError, match="no rows"):
        fitted({"a": StandardScaler()}, table.slice(0, 0))


def test_a_category_that_the_transformer_refuses_is_an_error_of_the_data(table):
    found = fitted({"c": OneHotEncoder()}, table)
    with pytest.raises(DataError, match=r"unknown categories.*OneHotEncoder"):
        found.values({"a": 1.0, "b": 1.0, "c": "ZZ", "n": 3, "v": None})


def test_what_is_learned_is_the_same_in_each_process(table, tmp_path):
    found = fitted({("a", "n"): make_pipeline(StandardScaler(), PCA(2)), "c": OneHotEncoder()}, table)
    path = tmp_path / "table.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    code = (
        "import pyarrow as pa\n"
        "from sklearn.decomposition import PCA\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import OneHotEncoder, StandardScaler\n"
        "from asof.definitions.chain import chains_of\n"
        "from asof.arrow.types import inferred_type\n"
        "from asof.fitted import fit\n"
        f"table = pa.ipc.open_file({str(path)!r}).read_all()\n"
        "types = {name: inferred_type(kind) for name, kind in zip(table.column_names, table.schema.types)}\n"
        "given = {('a', 'n'): make_pipeline(StandardScaler(), PCA(2)), 'c': OneHotEncoder()}\n"
        "print(fit(chains_of(given, types, where='v'), table, types).digest)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    assert done.stdout.strip() == found.digest


# ---- how it is declared


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (StandardScaler(), {"class": "sklearn.preprocessing:StandardScaler", "params": {}}),
        (PCA(n_components=np.int64(2)), {"class": "sklearn.decomposition:PCA", "params": {"n_components": 2}}),
        (MinMaxScaler((-1, 1)), {"class": "sklearn.preprocessing:MinMaxScaler", "params": {"feature_range": {"tuple": [-1, 1]}}}),
        (SimpleImputer(missing_values=None), {"class": "sklearn.impute:SimpleImputer", "params": {"missing_values": None}}),
        (SimpleImputer(fill_value=float("inf")), {"class": "sklearn.impute:SimpleImputer", "params": {"fill_value": {"float": "inf"}}}),
        (OneHotEncoder(dtype=np.float32), {"class": "sklearn.preprocessing:OneHotEncoder", "params": {"dtype": {"numpy": "float32"}}}),
        (OrdinalEncoder(categories=[np.array(["a", "b"])]), {"class": "sklearn.preprocessing:OrdinalEncoder", "params": {"categories": [["a", "b"]]}}),
    ],
)  # fmt: skip
def test_a_transformer_is_its_name_and_what_is_not_the_default(theirs, said):
    step = chains_of({"c": theirs}, TYPES, where="view v")[0].steps[0]
    assert step.document() == {"kind": "sklearn", **said}
    assert step_from(json.loads(json.dumps(step.document()))) == step


def test_pipelines_hold_transformers():
    step = chains_of({"a": make_pipeline(SimpleImputer(), PCA(1))}, TYPES, where="view v")[0].steps[0]
    steps = json.loads(step.params)["steps"]
    assert steps[1]["tuple"] == ["pca", {"class": "sklearn.decomposition:PCA", "params": {"n_components": 1}}]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (StandardScaler, "an object, not its class"),
        (FunctionTransformer(np.log1p), "ufunc cannot be kept .*parameter func"),
        (FunctionTransformer(lambda x: x), "function cannot be kept"),
        (TransformedTargetRegressor(), "is no transform"),
    ],
)
def test_what_cannot_be_named_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        chains_of({"a": given}, TYPES, where="view v")


def test_a_class_of_this_script_is_refused():
    class Local(StandardScaler):
        pass

    with pytest.raises(UsageError, match="cannot be imported by a name"):
        chains_of({"a": Local()}, TYPES, where="view v")


# ---- classes of users

SCALER = '''
class Halved:
    """A transformer without scikit-learn."""

    def __init__(self, by=2.0):
        self.by = by

    def get_params(self, deep=True):
        return {"by": self.by}

    def fit(self, X, y=None):
        self.most_ = X.max(axis=0)
        return self

    def transform(self, X):
        return X / self.by / self.most_

'''


@pytest.fixture
def halved(tmp_path, monkeypatch):
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SCALER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = __import__(name)
    yield module.Halved
    sys.modules.pop(name, None)


def test_a_class_of_a_user_is_named_with_the_hash_of_its_source(halved, table):
    found = fitted({"a": halved(by=4.0)}, table)
    most = table.column("a").to_numpy().max()
    assert found.values({"a": 1.0, "b": 1.0, "c": "AA", "n": 3, "v": None})["a"] == 1.0 / 4.0 / most
    again = Fitted.from_document(json.loads(json.dumps(found.document())))
    assert again.table(table).equals(found.table(table))
    assert list(fitted({("a", "n"): halved()}, table).sources) == ["a+n=0", "a+n=1"]  # it names no columns
    step = chains_of({"a": halved(by=4.0)}, TYPES, where="view v")[0].steps[0]
    assert len(step.digest) == 64
    assert users_codes([step.document()]) == [f"{halved.__module__}:Halved"]


def test_a_class_whose_source_changed_is_refused(halved, table, tmp_path):
    document = fitted({"a": halved()}, table).document()
    path = tmp_path / f"{halved.__module__}.py"
    path.write_text(SCALER.replace("X / self.by", "X * self.by * 2"))
    del sys.modules[halved.__module__]
    with pytest.raises(ConflictError, match=r"source of .*Halved is not what it was"):
        Fitted.from_document(document)


def test_a_class_of_a_user_is_not_taken_from_a_client(halved):
    group = FeatureGroup(
        "g", entity=Entity("e", keys={"k": "string"}), event_time="t", features=[Feature("a", "float64")]
    )
    theirs = declared(FeatureView("v", features=[group], transforms={"a": StandardScaler()}))
    assert definition_of(theirs).transforms[0].steps[0].code == "sklearn.preprocessing:StandardScaler"
    for step in (halved(), make_pipeline(StandardScaler(), halved())):
        with pytest.raises(UnsupportedError, match="Halved of a transform is not taken from a client"):
            definition_of(declared(FeatureView("v", features=[group], transforms={"a": step})))
    assert view_document(FeatureView("v", features=[group]), {"g": 1})["transforms"] == []


# ---- what is loaded


def state(found):
    document = json.loads(json.dumps(found.document()))
    return document, document["chains"][0]["stages"][0]


@pytest.mark.parametrize(
    "code", ["subprocess:Popen", "os:system", "builtins:eval", "sklearn.base:clone", "sklearn.utils:Bunch"]
)
def test_only_transformers_are_made(code, table):
    found = fitted({"a": StandardScaler()}, table)
    stage = found._chains[0].stages[0]
    digest = {} if code.startswith("sklearn") else {"digest": "0" * 64}
    forged = type(stage)(
        stage.step, {"class": code, "params": {}, **digest}, stage.body, stage.types, stage.outputs, True, True
    )
    with pytest.raises(UsageError, match=r"is no (class|transformer)"):
        Fitted(TYPES, [(("a",), (forged,))])


def test_untrusted_types_are_not_loaded(table):
    evil = base64.b64encode(skops.io.dumps({"a": subprocess.Popen})).decode()
    with pytest.raises(UnsupportedError, match=r"not trusted: subprocess\.Popen"):
        unpack(evil, (), where="view v")
    with pytest.raises(UnsupportedError, match=r"not trusted: sklearn\.tree\._tree\.Tree"):
        fitted({"a": RandomTreesEmbedding(n_estimators=2, random_state=0)}, table)


def test_damaged_bytes_are_not_loaded(table):
    body = base64.b64decode(fitted({"a": StandardScaler()}, table)._chains[0].stages[0].body)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b"0" * (1 << 28) + b"0")
    for damaged, error in ((b"", PermanentError), (body[:-40], PermanentError), (bomb.getvalue(), UnsupportedError)):
        with pytest.raises(error):
            unpack(base64.b64encode(damaged).decode(), (), where="view v")
    with pytest.raises(PermanentError):
        unpack("?", (), where="view v")


def test_another_class_than_the_named_one_is_not_loaded(table):
    one, other = (fitted({"a": theirs}, table)._chains[0].stages[0] for theirs in (StandardScaler(), MaxAbsScaler()))
    forged = type(one)(one.step, one.document, other.body, one.types, one.outputs, True, True)
    with pytest.raises(UsageError, match="of MaxAbsScaler, not StandardScaler"):
        Fitted(TYPES, [(("a",), (forged,))])


@pytest.mark.parametrize(("missing", "package"), [("sklearn", "scikit-learn"), ("skops", "skops")])
def test_a_missing_package_is_named_with_its_extra(missing, package, table):
    document = json.dumps(fitted({"a": StandardScaler()}, table).document())
    code = (
        "import json, sys; from asof.errors import MissingDependencyError; from asof.fitted import Fitted\n"
        f"sys.modules[{missing!r}] = None\n"
        "try:\n"
        f"    Fitted.from_document(json.loads({document!r}))\n"
        "except MissingDependencyError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout.strip() == str(MissingDependencyError(package, extra="sklearn"))
