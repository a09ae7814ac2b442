# SPDX-License-Identifier: Apache-2.0
"""The metrics of people's logins. Labels are words of the code: never a person, an address or a merchant."""

from typing import final

from prometheus_client import CollectorRegistry, Counter


@final
class LoginMetrics:
    """Logins, step-ups and locks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        #: `method`: password (the first step), totp, recovery_code, passkey, sso. `outcome`: succeeded, refused.
        self._logins = Counter(
            "strongroom_logins",
            "Steps of logins, and how they ended.",
            ["method", "outcome", "reason"],
            registry=registry,
        )
        self._step_ups = Counter(
            "strongroom_step_ups",
            "Second factors shown again by who was logged in.",
            ["method", "outcome"],
            registry=registry,
        )
        #: `scope`: network (locked for one account), account (its tries from unknown networks are used up).
        self._locks = Counter(
            "strongroom_login_locks",
            "Locks that guessing has brought about. Worth an alert.",
            ["scope"],
            registry=registry,
        )

    def login(self, method: str, outcome: str, reason: str) -> None:
        """Count a step of a login that ended."""
        self._logins.labels(method, outcome, reason).inc()

    def stepped_up(self, method: str, outcome: str) -> None:
        """Count a step-up."""
        self._step_ups.labels(method, outcome).inc()

    def locked(self, scope: str) -> None:
        """Count a lock."""
        self._locks.labels(scope).inc()
