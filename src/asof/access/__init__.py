"""Who may ask a server for what: API keys, roles by project, and who changed what."""

from asof.access.audit import audit
from asof.access.caller import ROLES, Caller, may
from asof.access.keys import Keys, NewKey, checked_roles

__all__ = ["ROLES", "Caller", "Keys", "NewKey", "audit", "checked_roles", "may"]
