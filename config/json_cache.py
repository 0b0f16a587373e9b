"""What is cached is written as JSON: whoever writes into Redis makes no process run what they wrote."""

import json
import logging
from typing import Any

logger = logging.getLogger(__name__)


class JsonSerializer:
    """Django's own serializer for Redis is pickle. Whole numbers stay plain, so that Redis can count with them."""

    def dumps(self, value: Any) -> Any:
        return value if type(value) is int else json.dumps(value)

    def loads(self, data: bytes) -> Any:
        """Return what was cached; anything but JSON is nothing, so that it stops nobody who asks for it."""
        try:
            return json.loads(data)
        except ValueError:
            logger.warning("a cached value is not JSON and was not read", extra={"bytes": len(data)})
            return None
