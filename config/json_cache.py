"""What is cached is written as JSON: whoever writes into Redis makes no process run what they wrote."""

import json
from typing import Any


class JsonSerializer:
    """Django's own serializer for Redis is pickle. Whole numbers stay plain, so that Redis can count with them."""

    def dumps(self, value: Any) -> Any:
        return value if type(value) is int else json.dumps(value)

    def loads(self, data: bytes) -> Any:
        """Return what was cached; raises ``ValueError`` for anything but JSON."""
        return json.loads(data)
