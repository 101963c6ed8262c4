"""Everything about knowing: what is defined, what was written, how it hangs together."""

from asof.catalog.catalog import Catalog

__all__ = ["Catalog"]
