# SPDX-License-Identifier: Apache-2.0
"""What brakes decide. Pure: from what is set, what is known of a payment, and what was counted before it.

A block that a person has enforced comes first, then allowances, then the merchant's blocks, then incidents and rules.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Final

from strongroom.payments.brakes.model import (
    HARDNESS,
    WINDOW_PARTS,
    Brake,
    Counter,
    Counts,
    Detection,
    Entry,
    Facts,
    Held,
    Kind,
    Listing,
    Measure,
    Rule,
    Setting,
    Signs,
    Subject,
    Tripped,
    Verdict,
)

#: Of which subjects card testing is noticed. Who pays with one card tries none.
WATCHED: Final = (Subject.ADDRESS, Subject.BIN, Subject.KEY)
#: So many tries are too few to say how their share of declines changes.
_RISING_TRIES_MIN: Final = 4
_PERCENT: Final = 100
CARD_TESTING: Final = "card_testing"
BLOCKED: Final = "blocked"


def listed(entries: Sequence[Entry], facts: Facts, now: datetime) -> Listing | None:
    """Say which list a payment is on: an enforced block, then an allowance, then a block."""
    fitting = [each for each in entries if each.is_alive(now) and fits(each, facts)]
    if any(each.enforced for each in fitting):
        return Listing.BLOCK
    if any(each.list is Listing.ALLOW for each in fitting):
        return Listing.ALLOW
    return Listing.BLOCK if fitting else None


def fits(entry: Entry, facts: Facts) -> bool:
    """Tell whether an entry names what a payment has."""
    if entry.kind is Kind.ADDRESS:
        if facts.address is None:
            return False
        # An IPv6 address is known by its /64, so an entry that is narrower than that names it as well.
        given, named = ip_network(facts.address, strict=False), ip_network(entry.value)
        return given.version == named.version and given.overlaps(named)
    known = {
        Kind.BIN: facts.bin,
        Kind.CARD: facts.card,
        Kind.CUSTOMER: facts.customer,
        Kind.EMAIL: facts.email_hash,
        Kind.TOKEN: facts.token,
    }
    return known[entry.kind] == entry.value


def subject_address(text: str) -> str:
    """Return what an address is counted under: itself, or its /64 of IPv6, where a household has them all."""
    address = ip_address(text)
    if address.version == 4:  # noqa: PLR2004 - of IP
        return str(address)
    return str(ip_network((address, 64), strict=False))


def counters(setting: Setting, facts: Facts) -> Sequence[Counter]:
    """Say what is to be counted of a payment: one row a subject and window, whatever asks for it."""
    subjects = facts.subjects()
    rules: defaultdict[tuple[Subject, int], list[Rule]] = defaultdict(list)
    for rule in setting.rules:
        if rule.subject in subjects:
            rules[rule.subject, rule.window_seconds].append(rule)
    detection = setting.card_testing
    watched = {(each, detection.window_seconds) for each in WATCHED if each in subjects}
    if detection.action == "off":
        watched = set()
    return [
        Counter(
            subject,
            subjects[subject],
            window,
            _limit(rules[subject, window], Measure.TRIES),
            _limit(rules[subject, window], Measure.DECLINES),
            _limit(rules[subject, window], Measure.CARDS),
            (subject, window) in watched
            or any(each.measure is Measure.CARDS for each in rules[subject, window]),
        )
        for subject, window in sorted(rules.keys() | watched)
    ]


def _limit(rules: Sequence[Rule], measure: Measure) -> int | None:
    """Return the lowest threshold at which a payment is held back."""
    return min(
        (each.threshold for each in rules if each.measure is measure and each.action.holds_back),
        default=None,
    )


def decide(
    setting: Setting,
    counted: Sequence[tuple[Counter, Counts]],
    incidents: Sequence[Held],
    now: datetime,
) -> Verdict:
    """Say what becomes of a payment, from what was counted before it. The hardest brake that holds decides.

    It passes exactly where every limit of `counters` is kept and every incident lets one pass now, which is what the
    database counts by.
    """
    known = {(counter.subject, counter.window): counts for counter, counts in counted}
    tripped = [
        Tripped(rule.name, rule.subject, rule.action)
        for rule in setting.rules
        if (rule.subject, rule.window_seconds) in known
        and exceeds(rule, known[rule.subject, rule.window_seconds])
    ]
    waits = [
        math.ceil(rule.window_seconds / WINDOW_PARTS)
        for rule in setting.rules
        if rule.action is Brake.THROTTLE and rule.name in {each.name for each in tripped}
    ]
    for each in incidents:
        held = each.next_pass_at > now
        does = Brake.THROTTLE if held else Brake.AUTHENTICATE
        tripped.append(Tripped(CARD_TESTING, each.subject, does))
        if held:
            waits.append(math.ceil((each.next_pass_at - now).total_seconds()))
    hardest = max((each.action for each in tripped), key=HARDNESS.index, default=None)
    wait = max(waits, default=1) if hardest is Brake.THROTTLE else 0
    return Verdict(hardest, tuple(tripped), wait)


def exceeds(rule: Rule, counts: Counts) -> bool:
    """Tell whether a payment is beyond a rule's threshold, where it is counted as the next."""
    if rule.measure is Measure.TRIES:
        return counts.tries >= rule.threshold
    if rule.measure is Measure.DECLINES:
        return counts.declines >= rule.threshold
    return counts.cards + counts.new_card > rule.threshold


def is_small(detection: Detection, amount: int, exponent: int) -> bool:
    """Tell whether an amount is what somebody tries cards with: below so many whole units of its currency."""
    return amount < detection.small_amount * int(10**exponent)


def signs(detection: Detection, subject: Subject, value: str, counts: Counts) -> Signs | None:
    """Say whether a subject's payments look like somebody who tries cards, and why.

    One customer's address has few cards. A key and a BIN have many by their nature: there, the share of declines must
    be high or rising, too. Where half of the amounts are small, half the figures do.
    """
    if detection.action == "off" or subject not in WATCHED or not counts.tries:
        return None
    small = counts.small * 2 >= counts.tries
    half = 2 if small else 1
    found = []
    if counts.cards * half >= detection.cards:
        found.append("many_cards")
    if counts.declines * half >= detection.declines:
        found.append("many_declines")
    if not found:
        return None
    high = counts.declines * _PERCENT >= detection.decline_percent * counts.tries
    rising = _rises(detection, counts)
    if subject is not Subject.ADDRESS and not (high or rising):
        return None
    words = {"high_decline_share": high, "rising_decline_share": rising, "small_amounts": small}
    return Signs(
        subject, value, (*found, *(word for word, holds in words.items() if holds)), counts
    )


def _rises(detection: Detection, counts: Counts) -> bool:
    """Tell whether the newest quarter has twice the earlier share of declines, and half of what is suspicious."""
    earlier_tries = counts.tries - counts.recent_tries
    earlier_declines = counts.declines - counts.recent_declines
    if min(counts.recent_tries, earlier_tries) < _RISING_TRIES_MIN:
        return False
    doubled = counts.recent_declines * earlier_tries >= 2 * earlier_declines * counts.recent_tries
    enough = (
        counts.recent_declines * _PERCENT * 2 >= detection.decline_percent * counts.recent_tries
    )
    return doubled and enough


def checks_policy(setting: Setting) -> str | None:
    """Print what is to become of an approval whose checks say no, as its attempt keeps it; None: nothing."""
    words = [
        f"{check}_{policy.value}"
        for check, policy in (("avs", setting.avs), ("cvc", setting.cvc))
        if policy.value != "ignore"
    ]
    return " ".join(words) or None
