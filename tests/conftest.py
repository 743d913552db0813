"""What holds for all tests: a loaded machine makes none of them fail, and a run that gates a change tries the same
examples every time.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "house",
    deadline=None,  # how long one example takes is the machine's business
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("house")
