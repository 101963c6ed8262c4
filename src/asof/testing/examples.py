"""Fewer examples of each property for an adapter each of whose answers takes a good part of a second.

class TestSpark(FewExamples, EngineSuite):
    adapter = "spark"
"""

from typing import Any, ClassVar

import pytest
from hypothesis import settings


class FewExamples:
    """A suite of properties with fewer examples than the profile says.

    Attributes:
        share: One example of so many.
    """

    share: ClassVar[int] = 10

    @pytest.fixture(autouse=True)
    def fewer_examples(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the test of a property try fewer examples."""
        test: Any = request.function  # what `given` made of it: nobody says its type
        asked = getattr(test, "_hypothesis_internal_use_settings", None)
        if asked is not None:
            few = settings(asked, max_examples=max(asked.max_examples // self.share, 1))
            monkeypatch.setattr(test.__func__, "_hypothesis_internal_use_settings", few)
