"""What server and client say to each other: requests, results, errors, definitions and values as messages.

Messages are msgpack, tables are Arrow. Nothing that comes over the wire is unpickled, imported or evaluated.
"""

PROTOCOL = 1
"""Raised by whatever an older client or server would misunderstand."""
