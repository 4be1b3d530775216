"""A value of a table's cell -> the same as JSON has it."""

import base64
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

from embedstack.documents.document import Json

SAFE = 1 << 63  # JSON readers hold whole numbers in 64 bits; larger ones are written as text


def jsonable(value: object) -> Json:
    """Times in ISO 8601, bytes in base64, what is no number as null, and whatever else there is as its text."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -SAFE <= value < SAFE else str(value)
        case float():
            return value if math.isfinite(value) else None
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return base64.b64encode(value).decode()
        case Mapping():
            return {str(name): jsonable(one) for name, one in value.items()}
        case list() | tuple():
            return [jsonable(one) for one in value]
        case _:
            return str(value)
