"""Names and values as SQL text."""


def quoted(name: str) -> str:
    """Return a column name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a string as SQL."""
    return "'" + value.replace("'", "''") + "'"


def sources_of(journal: str) -> str:
    """Return the name of the registered journal rows of `Rows.sources`."""
    return f"{journal}_sources"
