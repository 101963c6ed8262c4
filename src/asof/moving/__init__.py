"""Move a store: from a folder to a deployment and back, into a backup and out of it.

The registry and the history are the truth, and are carried as they are: the registry as of one moment, data files byte
for byte, each hashed where it came from and read again where it was put. What is served is made of them anew.
"""

from asof.moving.backups import Backup, backup, backups, restore
from asof.moving.carrying import Carried
from asof.moving.copying import Moved, copy

__all__ = ["Backup", "Carried", "Moved", "backup", "backups", "copy", "restore"]
