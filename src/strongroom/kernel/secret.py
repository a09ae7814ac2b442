# SPDX-License-Identifier: Apache-2.0
"""A value that will not print. It does not wipe memory: nothing in Python does."""

from typing import Generic, NoReturn, TypeVar, final

T_co = TypeVar("T_co", covariant=True)


@final
class Secret(Generic[T_co]):
    """Holds a value that must not reach a log, a trace or a pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: T_co) -> None:
        self._value = value

    def expose(self) -> T_co:
        """Return the value. Every call of this stands on a list that a test compares."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("compare secrets in constant time, inside crypto")

    __hash__ = None  # type: ignore[assignment]  # what cannot be compared cannot be hashed
