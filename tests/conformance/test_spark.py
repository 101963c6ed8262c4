"""The Spark engine passes the suite that asof ships, with fewer examples: each is a query of half a second."""

from pathlib import Path

import pytest

from asof.engine.port import Engine
from asof.testing.engine import EngineSuite
from asof.testing.examples import FewExamples
from asof.testing.spark import SPARK

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark_session")]


class TestSpark(FewExamples, EngineSuite):
    adapter = "spark"
    url = SPARK
    share = 20

    @pytest.mark.long
    def test_threads_ask_at_the_same_time(self, engine: Engine, folder: Path) -> None:
        """Forty questions are half a minute here."""
        super().test_threads_ask_at_the_same_time(engine, folder)
