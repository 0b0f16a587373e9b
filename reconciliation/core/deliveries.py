"""What a source hands over: bars as it gave them, read but not believed yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciliation.core.bars import FIELDS, Bar, read_stamp, read_values


@dataclass(frozen=True, slots=True)
class Delivery:
    """One bar as a source gave it.

    ``given`` has ``timestamp`` and the five numbers under the names of ``FIELDS``, each as it came. ``is_revision``
    says that the source itself calls it a new version of a bar.
    """

    symbol: str
    given: Mapping[str, Any]
    is_revision: bool = False

    def read(self) -> Bar:
        """Return it as a bar; raises ``ValueError`` with what cannot be read."""
        return Bar(read_stamp(self.given.get("timestamp")), read_values(self.given))

    def stamp(self) -> int | None:
        """Return its instant alone, or None where that cannot be read."""
        try:
            return read_stamp(self.given.get("timestamp"))
        except ValueError:
            return None

    def as_json(self) -> dict[str, str]:
        """Return what was given as text, for the record."""
        return {name: str(self.given.get(name, ""))[:100] for name in ("timestamp", *FIELDS)}
