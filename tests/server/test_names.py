import pytest

import asof
from asof.errors import NotFoundError
from asof.server.names import Names


@pytest.mark.parametrize("what", ["keys", "records"])
def test_unknown_names_are_not_kept(folder, what):
    with asof.open(folder) as store:
        readers = getattr(Names(store), what)
        readers("spending")
        for name in ("spendings", "spending@2", "wether@1"):
            with pytest.raises(NotFoundError):
                readers(name)
        assert readers.known == {"spending"}
