"""A slice of the soak; `make soak` is the whole. And a proof that it can fail: a leak that is planted is found."""

from __future__ import annotations

import msgspec

from tests.soak.plan import SLICE
from tests.soak.soak import Soak

PLANTED = msgspec.structs.replace(SLICE, seconds=2.5, wave_s=0.7, amber=False, settle_s=1.0, planted="descriptors")


async def test_soak_of_seconds_leaves_nothing() -> None:
    """Clients come, work, are cut off and go; nothing is lost or left, and everything that broke has its cause."""
    soak = Soak(SLICE)
    await soak.run()
    assert soak.failed == [], soak.account.examples
    assert soak.account.done["events heard"] > 500
    assert soak.account.done["resumed"] > 0
    assert soak.account.causes["connection lost: token revoked"] > 0
    assert soak.facts["fields compared with the store"] == SLICE.clients


async def test_soak_of_a_daemon_with_a_leak_fails() -> None:
    """A real daemon that keeps one descriptor for each connection does not pass."""
    soak = Soak(PLANTED)
    await soak.run()
    assert any(wrong.startswith("descriptors did not return") for wrong in soak.failed), soak.failed
