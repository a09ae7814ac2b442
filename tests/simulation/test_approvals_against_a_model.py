# SPDX-License-Identifier: Apache-2.0
"""Approvals against a model: whatever people do, in whatever order and at whatever time, each lets through what its
model lets through. Stateful, over the pure rules and a table that compares and sets as the database does.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from strongroom.crypto.ids import new_id
from strongroom.identity.approvals.errors import (
    ApprovalClosed,
    ApprovalNotUsable,
    ApprovalOwn,
    ApprovalUnknown,
)
from strongroom.identity.approvals.model import LIFETIME, Approval, ApprovalState, Verdict
from strongroom.identity.approvals.rules import decided, require_usable, state_at, withdrawn
from strongroom.kernel.errors import StrongroomError
from strongroom.kernel.ids import ApprovalId, MerchantId
from strongroom.kernel.mode import Mode

PEOPLE: Final = tuple(new_id("usr") for _ in range(3))
REQUESTS: Final = (b"a" * 32, b"b" * 32)
people = st.sampled_from(PEOPLE)


class Approvals(RuleBasedStateMachine):
    """The model keeps words: who asked, for what, until when, who said what, and whether it passed."""

    ids = Bundle("ids")

    @initialize()
    def begin(self) -> None:
        self.now = datetime(2026, 11, 20, tzinfo=UTC)
        self.rows: dict[str, Approval] = {}
        self.model: dict[str, dict[str, object]] = {}
        self.passes: dict[str, int] = {}

    @rule(target=ids, person=people, request=st.sampled_from(REQUESTS))
    def ask(self, person: str, request: bytes) -> str:
        name = new_id("apr")
        self.rows[name] = Approval(
            ApprovalId(name), MerchantId("mer"), Mode.LIVE, "word", "gateway", "POST", "/v1/x", None,
            request, person, self.now, self.now + LIFETIME,
        )  # fmt: skip
        self.model[name] = {"by": person, "for": request, "at": self.now, "word": "pending"}
        return name

    @rule(minutes=st.integers(1, 40))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    def _word(self, name: str) -> object:
        """What the model says it is now."""
        known = self.model[name]
        began = known["at"]
        assert isinstance(began, datetime)
        late = self.now - began >= timedelta(minutes=60)
        return "expired" if late and known["word"] in ("pending", "approved") else known["word"]

    @rule(name=ids, person=people, verdict=st.sampled_from(Verdict))
    def decide(self, name: str, person: str, verdict: Verdict) -> None:
        expected: type[StrongroomError] | None = None
        if person == self.model[name]["by"]:
            expected = ApprovalOwn
        elif self._word(name) != "pending":
            expected = ApprovalClosed
        if expected is not None:
            with pytest.raises(expected):
                decided(self.rows[name], person, verdict, None, self.now)
            return
        self.rows[name] = decided(self.rows[name], person, verdict, None, self.now)
        self.model[name]["word"] = verdict.value

    @rule(name=ids, person=people)
    def withdraw(self, name: str, person: str) -> None:
        expected: type[StrongroomError] | None = None
        if person != self.model[name]["by"]:
            expected = ApprovalUnknown
        elif self._word(name) not in ("pending", "approved"):
            expected = ApprovalClosed
        if expected is not None:
            with pytest.raises(expected):
                withdrawn(self.rows[name], person, self.now)
            return
        self.rows[name] = withdrawn(self.rows[name], person, self.now)
        self.model[name]["word"] = "withdrawn"

    @rule(name=ids, person=people, request=st.sampled_from(REQUESTS))
    def use(self, name: str, person: str, request: bytes) -> None:
        known = self.model[name]
        right = known["by"] == person and known["for"] == request
        try:
            found = require_usable(self.rows[name], person, [request], self.now)
        except ApprovalNotUsable:
            assert not (right and self._word(name) == "approved")
        else:
            assert right
            assert self._word(name) == "approved"
            self.rows[name] = replace(found, used_at=self.now)
            known["word"] = "used"
            self.passes[name] = self.passes.get(name, 0) + 1

    @invariant()
    def they_say_the_same(self) -> None:
        for name, row in getattr(self, "rows", {}).items():
            assert state_at(row, self.now).value == self._word(name)
            assert self.passes.get(name, 0) <= 1
            assert row.decided_by != row.requested_by
            if self.passes.get(name):
                assert row.decided_by is not None
                assert state_at(row, self.now) is ApprovalState.USED


Approvals.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestApprovals = Approvals.TestCase
