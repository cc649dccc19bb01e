"""Policies on the wire: a `Policy` as a `dovetail.v1.ToolPolicy` and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dovetail.durations import duration_of
from dovetail.tools.policy import Policy, Rate
from dovetail.v1 import ToolPolicy

__all__ = ["policy_from_wire", "policy_to_wire"]

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS: Final = ("task_timeout", "idle_timeout", "backoff", "breaker_pause", "cache", "approval_timeout")
_COUNTS: Final = ("max_parallel", "breaker_failures")
_CUT: Final = ToolPolicy.LARGE_OUTPUT_CUT


def policy_to_wire(policy: Policy) -> ToolPolicy:
    """A policy as the wire carries it."""
    spec = ToolPolicy(
        retries=policy.retries,
        exclusive=policy.exclusive,
        large_output=_CUT if policy.large_output == "cut" else ToolPolicy.LARGE_OUTPUT_FAIL,
    )
    for name in _SECONDS:
        if (value := getattr(policy, name)) is not None:
            getattr(spec, name).CopyFrom(duration_of(value))
    for name in _COUNTS:
        setattr(spec, name, getattr(policy, name) or 0)
    if isinstance(policy.rate, Rate):
        spec.rate_calls = policy.rate.calls
        spec.rate_period.CopyFrom(duration_of(policy.rate.period))
    return spec


def policy_from_wire(spec: ToolPolicy) -> Policy:
    """A policy of the wire.

    Raises:
        UsageError: a field cannot be used; the message begins with its name.
    """
    given: dict[str, Any] = {"retries": spec.retries, "exclusive": tuple(spec.exclusive)}
    given |= _seconds(spec)
    given |= {name: getattr(spec, name) for name in _COUNTS if getattr(spec, name)}
    if spec.rate_calls:
        period = spec.rate_period.ToNanoseconds() / 1e9 if spec.HasField("rate_period") else 1.0
        given["rate"] = Rate(spec.rate_calls, period)
    if spec.large_output == _CUT:
        given["large_output"] = "cut"
    return Policy(**given)


def _seconds(spec: ToolPolicy) -> Mapping[str, float]:
    return {name: getattr(spec, name).ToNanoseconds() / 1e9 for name in _SECONDS if spec.HasField(name)}
