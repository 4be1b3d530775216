"""Ids of points have one form, whichever way they are written, and bytes that are those of the UUID."""

from collections.abc import Callable
from random import Random
from uuid import UUID

import pytest

from embedstack.databases.database import point_id
from embedstack.databases.embedded.keys import UUID_, id_of, key_of
from embedstack.errors import BadRequest

DRAWN = Random(5)
UUIDS = [UUID(int=DRAWN.getrandbits(128)) for _ in range(50)] + [UUID(int=0), UUID(int=2**128 - 1)]


WRITTEN = [str, lambda one: str(one).upper(), lambda one: one.hex, lambda one: one.urn, lambda one: f"{{{one}}}"]


@pytest.mark.parametrize("written", WRITTEN, ids=["usual", "upper", "bare", "urn", "braces"])
def test_a_uuid_has_one_form_and_its_own_bytes(written: Callable[[UUID], str]) -> None:
    for one in UUIDS:
        assert point_id(written(one)) == str(one)
        assert key_of(written(one)) == UUID_ + one.bytes
        assert id_of(key_of(written(one))) == str(one)


@pytest.mark.parametrize("given", ["", "g" * 32, f"{UUIDS[0]}\n", f"{UUIDS[0]}0", str(UUIDS[0])[:-1], "1"])
def test_what_is_nearly_one_is_none(given: str) -> None:
    with pytest.raises(BadRequest, match="neither a whole number nor a UUID"):
        point_id(given)
