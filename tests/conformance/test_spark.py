"""The Spark engine passes the suite that asof ships, with fewer examples: each is a query of half a second."""

import pytest

from asof.testing.engine import EngineSuite
from asof.testing.examples import FewExamples
from asof.testing.spark import SPARK

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark_session")]


class TestSpark(FewExamples, EngineSuite):
    adapter = "spark"
    url = SPARK
    share = 20
