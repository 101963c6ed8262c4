"""A pytest plugin for plant_faults.py: the same tests, the small and sharp ones first."""

FIRST = (
    "tests/store/test_edges.py",
    "tests/store/test_upkeep.py",
    "tests/store/test_explain.py",
    "tests/store/test_verify.py",
    "tests/unit/",
    "tests/conformance/",
    "tests/laws/",
    "tests/store/",
)


def pytest_collection_modifyitems(items):
    items.sort(
        key=lambda item: next((at for at, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST))
    )
