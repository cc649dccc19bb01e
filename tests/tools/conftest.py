"""How properties are tried: as long as it takes, for how fast an example is depends on what else the machine does."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
