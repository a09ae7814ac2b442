# SPDX-License-Identifier: Apache-2.0
"""Finds what stands behind a method and a path without routing: one look, or a few where a path has a parameter."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from strongroom.kernel.invariant import invariant

Value = TypeVar("Value")


class PathTable(Generic[Value]):
    """Values by method and path template (`/v1/tokens`, `/v1/inbound/{connection_id:str}`, `/v1/a/{id:str}/b`)."""

    __slots__ = ("_around", "_exact", "_parents")

    def __init__(self, values: Mapping[tuple[str, str], Value]) -> None:
        self._exact: dict[tuple[str, str], Value] = {}
        self._parents: dict[tuple[str, str], Value] = {}
        #: By method and last part: what stands before the parameter, and the value.
        self._around: dict[tuple[str, str], tuple[str, Value]] = {}
        for (method, path), value in values.items():
            parent, _, last = path.rpartition("/")
            before, _, parameter = parent.rpartition("/")
            invariant("{" not in before, "only one of the last two parts of a path is a parameter")
            if parameter.startswith("{"):
                invariant(not last.startswith("{"), "a path has one parameter here")
                invariant((method, last) not in self._around, "a last part stands once")
                self._around[method, last] = (before + "/", value)
            elif last.startswith("{"):
                self._parents[method, parent] = value
            else:
                self._exact[method, path] = value

    def find(self, method: str, path: str) -> Value | None:
        """Return the value of the template that a path has, or None. The path itself goes before a parameter."""
        found = self._exact.get((method, path))
        if found is not None or not (self._parents or self._around):
            return found
        parent, _, last = path.rpartition("/")
        around = self._around.get((method, last))
        if around is not None and parent.startswith(around[0]):
            parameter = parent[len(around[0]) :]
            if parameter and "/" not in parameter:
                return around[1]
        return self._parents.get((method, parent)) if last else None

    def __contains__(self, key: tuple[str, str]) -> bool:
        return self.find(*key) is not None
