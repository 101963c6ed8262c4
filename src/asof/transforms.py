"""What features may become on their way to a model, fitted on the training split only.

    from asof.transforms import Impute, OneHot, Standard

    view = FeatureView(
        "departure",
        features=[weather["temp"], weather["visib"], planes["seats"], carriers["carrier"]],
        transforms={
            "temp": [Impute("median"), Standard()],  # one after the other
            "carrier": OneHot(most=20),  # carrier=AA, carrier=UA, ...
            ("visib", "seats"): PCA(n_components=1),  # of scikit-learn: several features together
        },
    )

Those below need no scikit-learn, neither to be fitted nor to be served. `docs/transforms.md` says what each computes,
what becomes of a null and of what training has not seen.
"""

from asof.definitions.transform import (
    Bucket,
    Clip,
    Hashing,
    Impute,
    Log,
    MinMax,
    OneHot,
    Ordinal,
    Robust,
    Standard,
)

__all__ = ["Bucket", "Clip", "Hashing", "Impute", "Log", "MinMax", "OneHot", "Ordinal", "Robust", "Standard"]
