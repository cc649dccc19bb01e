"""How long a server wants a request to wait before it is sent again, read from the headers of its refusal."""

from __future__ import annotations

import random
import re
import time
from email.utils import mktime_tz, parsedate_tz
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["retry_pause"]

_JITTER: Final = 0.25
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_LIMITED: Final = ("requests", "tokens")


def retry_pause(headers: Mapping[str, str]) -> float | None:
    """The seconds to wait, or None if the server does not say.

    ``retry-after-ms`` and ``retry-after`` (RFC 9110, seconds or a date) are taken at their word, else the time until
    what is used up comes back: ``x-ratelimit-reset-requests`` or ``-tokens``, whose ``x-ratelimit-remaining-…`` is 0.
    Up to a quarter is added at random, so that all whom the server sent away do not come back at the same moment.

    Args:
        headers: of the response; names in lower case, or found in any case.
    """
    stated = _stated(headers)
    if stated is None:
        stated = max((seconds for what in _LIMITED if (seconds := _until_reset(headers, what))), default=None)
    if stated is None or stated <= 0:
        return None
    # Not the secrets of anybody: spreading requests is all that it is for.
    return stated * (1 + random.uniform(0, _JITTER))  # noqa: S311


def _stated(headers: Mapping[str, str]) -> float | None:
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    after = headers.get("retry-after")
    if (seconds := _number(after)) is not None:
        return seconds
    date = parsedate_tz(after) if after else None
    return None if date is None else mktime_tz(date) - time.time()


def _until_reset(headers: Mapping[str, str], what: str) -> float | None:
    if _number(headers.get(f"x-ratelimit-remaining-{what}")) != 0:
        return None
    reset = (headers.get(f"x-ratelimit-reset-{what}") or "").strip()
    if (seconds := _number(reset)) is not None:
        return seconds
    if not reset or _SPAN.sub("", reset):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _SPAN.findall(reset))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
