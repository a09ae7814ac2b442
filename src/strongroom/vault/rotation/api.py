# SPDX-License-Identifier: Apache-2.0
"""Routes of the vault's listener about keys: parse, call, print."""

from datetime import datetime
from typing import Annotated, Any, Final

from litestar import Request as LitestarRequest
from litestar import get, post
from litestar.datastructures import State
from litestar.openapi.spec import Example
from litestar.params import Body

from strongroom.crypto import Algorithm
from strongroom.http.approval import Approval
from strongroom.http.examples import answers
from strongroom.http.requires import principal_of
from strongroom.kernel.clock import rfc3339
from strongroom.kernel.permissions import Permission
from strongroom.keys import KeyName, KeyStore, RootInfo
from strongroom.vault.asking import caller_of
from strongroom.vault.rotation import examples
from strongroom.vault.rotation.periods import Periods, algorithm_of_key
from strongroom.vault.rotation.service import By, KeyRotation, KeyView
from strongroom.vault.rotation.wire import (
    DestroyedOut,
    DestroyIn,
    KeyOut,
    KeysOut,
    ResealIn,
    RotateIn,
    RotationOut,
)

_Request = LitestarRequest[Any, Any, State]


async def _by(request: _Request, state: State) -> By:
    caller = await caller_of(state, request)
    return By(*caller.scope, caller.principal.subject, caller.origin)


@get(
    "/v1/keys/inventory",
    requires=Permission.KEYS_KEY_READ,
    summary="List keys",
    description=(
        "Every version of the keys that protect this merchant's cards and credentials in the vault, with what each is "
        "for, when it is due to be rotated, how much is sealed under it and with what; and the roots that wrap them."
    ),
    tags=["keys"],
    responses=answers(200, KeysOut, examples.KEYS, 401, 403, 429, 503),
)
async def list_keys(request: _Request, state: State) -> KeysOut:
    """Return the inventory (PCI DSS 3.6.1.1, 12.3.3)."""
    rotation: KeyRotation = state.rotation
    store: KeyStore = state.key_store
    principal, periods, now = principal_of(request), state.key_periods, rotation.clock.now()
    found = await rotation.inventory(principal.merchant, principal.mode)
    roots = [each for each in await store.describe() if each.purpose in {"card", "credential"}]
    return KeysOut(
        [
            *(root_out(each, periods, now) for each in roots),
            *(key_out(each, periods, rotation.algorithm, now) for each in found),
        ],
        has_more=False,
        next_cursor=None,
    )


@post(
    "/v1/keys/rotate",
    requires=Permission.KEYS_KEY_ROTATE,
    step_up=True,
    status_code=200,
    summary="Rotate a key",
    description=(
        "Makes a new version, which every process seals under within two seconds. What older versions have sealed goes "
        "on opening, and a job seals it anew. Of two at once one rotates; the other is told the same version."
    ),
    tags=["keys"],
    responses=answers(
        200, RotationOut, examples.ROTATED, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def rotate_key(
    request: _Request,
    data: Annotated[RotateIn, Body(examples=[Example(value=examples.ROTATE_IN)])],
    state: State,
) -> RotationOut:
    """Rotate one."""
    rotation: KeyRotation = state.rotation
    rotated = await rotation.rotate(
        await _by(request, state),
        KeyName(data.name),
        algorithm=None if data.algorithm is None else Algorithm(data.algorithm),
        rate=data.rate,
    )
    return RotationOut("key_rotation", data.name, rotated.version, rotated.job_id)


@post(
    "/v1/keys/reseal",
    requires=Permission.KEYS_KEY_ROTATE,
    step_up=True,
    status_code=200,
    summary="Seal anew",
    description=(
        "Begins a job that seals under the current version, and with the algorithm asked for, whatever is sealed "
        "otherwise. For what a canceled job left, and to move to another algorithm, which only cards can."
    ),
    tags=["keys"],
    responses=answers(
        200, RotationOut, examples.ROTATED, 400, 401, 403, 409, 413, 415, 422, 429, 503
    ),
)
async def reseal_key(
    request: _Request,
    data: Annotated[ResealIn, Body(examples=[Example(value=examples.RESEAL_IN)])],
    state: State,
) -> RotationOut:
    """Move what is sealed."""
    rotation: KeyRotation = state.rotation
    rotated = await rotation.reseal(
        await _by(request, state),
        KeyName(data.name),
        algorithm=None if data.algorithm is None else Algorithm(data.algorithm),
        rate=data.rate,
    )
    return RotationOut("key_rotation", data.name, rotated.version, rotated.job_id)


@post(
    "/v1/keys/destroy",
    requires=Permission.KEYS_KEY_DESTROY,
    step_up=True,
    approval=Approval("key_destroy"),
    status_code=200,
    summary="Destroy a version of a key",
    description=(
        "What it sealed does not open again, in whatever copy. Refused while anything is sealed under it, and for ten "
        "minutes after the rotation (two days for `idempotency`). Takes a second person. Safe to repeat."
    ),
    tags=["keys"],
    responses=answers(
        200, DestroyedOut, examples.DESTROYED, 400, 401, 403, 404, 409, 413, 415, 422, 429, 503
    ),
)
async def destroy_key(
    request: _Request,
    data: Annotated[DestroyIn, Body(examples=[Example(value=examples.DESTROY_IN)])],
    state: State,
) -> DestroyedOut:
    """Destroy one."""
    rotation: KeyRotation = state.rotation
    await rotation.destroy(await _by(request, state), KeyName(data.name), data.version)
    return DestroyedOut("key", data.name, data.version, "destroyed")


def key_out(view: KeyView, periods: Periods, cards: Algorithm, now: datetime) -> KeyOut:
    """Print a version of a key."""
    row = view.row
    rotates_at = periods.rotates_at(row)
    return KeyOut(
        object="key",
        kind="data_key",
        name=row.name,
        version=row.version,
        state=row.state,
        algorithm=algorithm_of_key(row.name, cards),
        algorithms_in_use=list(view.algorithms),
        made_at=rfc3339(row.made_at),
        rotates_at=None if rotates_at is None else rfc3339(rotates_at),
        overdue=rotates_at is not None and rotates_at <= now,
        retired_at=None if view.retired_at is None else rfc3339(view.retired_at),
        uses=view.uses,
        uses_exact=view.counted_all,
    )


def root_out(root: RootInfo, periods: Periods, now: datetime) -> KeyOut:
    """Print a root."""
    rotates_at = periods.root_rotates_at(root)
    return KeyOut(
        object="key",
        kind="root",
        name=root.purpose,
        version=None,
        state="enabled" if root.enabled else "disabled",
        algorithm=root.algorithm,
        algorithms_in_use=None,
        made_at=rfc3339(root.created),
        rotates_at=rfc3339(rotates_at),
        overdue=rotates_at <= now,
        retired_at=None,
        uses=None,
        uses_exact=False,
    )


ROUTES: Final = (list_keys, rotate_key, reseal_key, destroy_key)
