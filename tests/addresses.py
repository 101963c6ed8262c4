"""Addresses with a password where no server is, for all that is opened by one."""

import pytest

from asof.errors import AsofError
from asof.testing.servers import free_port

SECRET = "hunter2-or-so"
NOWHERE = ["127.0.0.1:{port}/0", "no-such-host.invalid:1/0", "127.0.0.1:none/0"]


def check_no_message_holds_the_password(opened, scheme, rest):
    """Open an address; see that the error says what to do, and not the password."""
    with pytest.raises(AsofError) as refused:
        opened(f"{scheme}://user:{SECRET}@{rest.format(port=free_port())}")
    error = refused.value
    while error is not None:
        assert SECRET not in str(error)
        assert SECRET not in repr(error)
        error = error.__cause__
    assert refused.value.where
    assert refused.value.todo
