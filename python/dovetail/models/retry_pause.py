"""How long a server wants a request to wait before it is sent again, read from the headers of its refusal."""

from __future__ import annotations

import random
import re
import time
from datetime import UTC, datetime
from email.utils import mktime_tz, parsedate_tz
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["retry_pause"]

_JITTER: Final = 0.25
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_LIMITED: Final = ("-requests", "-tokens", "")
_SECONDS_SINCE_1970: Final = 1e9
_MILLISECONDS_SINCE_1970: Final = 1e12


def retry_pause(headers: Mapping[str, str]) -> float | None:
    """The seconds to wait, or None if the server does not say.

    ``retry-after-ms`` and ``retry-after`` (RFC 9110, seconds or a date) are taken at their word, else the time until
    what is used up comes back: ``x-ratelimit-reset-requests``, ``-tokens`` or without either, whose
    ``x-ratelimit-remaining-…`` is 0. That is a number of seconds, a span (``1m26.4s``), or a moment: a date, or the
    seconds or milliseconds since 1970.
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
    return _seconds(headers.get("retry-after"))


def _until_reset(headers: Mapping[str, str], what: str) -> float | None:
    if _number(headers.get(f"x-ratelimit-remaining{what}")) != 0:
        return None
    reset = headers.get(f"x-ratelimit-reset{what}")
    seconds = _seconds(reset)
    if seconds is not None or not reset:
        return seconds
    spans = "".join(reset.split())
    if _SPAN.sub("", spans):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _SPAN.findall(spans))


def _seconds(text: str | None) -> float | None:
    """The seconds that a number says, or those until a moment."""
    number = _number(text)
    if number is not None:
        # No server asks for thirty years.
        since_1970 = number / 1000 if number >= _MILLISECONDS_SINCE_1970 else number
        return since_1970 - time.time() if since_1970 >= _SECONDS_SINCE_1970 else number
    if not text or not (moment := _moment(text.strip())):
        return None
    return moment - time.time()


def _moment(text: str) -> float | None:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        parts = parsedate_tz(text)
        return None if parts is None else mktime_tz(parts)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
