"""Logins: how many passwords are hashed at once, whoever goes away meanwhile."""

import asyncio
import threading

import pytest

from pypcp.pmcd.security import Security
from waiting import until

pytestmark = pytest.mark.anyio


class Work:
    """Hashing that takes until it is told to end."""

    def __init__(self) -> None:
        self.under_way = 0
        self.may_end = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, response: bytes) -> bytes:
        with self._lock:
            self.under_way += 1
        self.may_end.wait(10.0)
        with self._lock:
            self.under_way -= 1
        return response


async def test_who_goes_away_does_not_make_room_for_more_hashing() -> None:
    security, work = Security(), Work()
    try:
        for _ in range(2):
            login = asyncio.create_task(security.hashed(work, b"password"))
            await until(lambda before=work.under_way: work.under_way > before)
            login.cancel()
            await asyncio.wait([login])
        threads = threading.active_count()
        third = asyncio.create_task(security.hashed(work, b"mine"))
        for _ in range(5):  # it would begin at once
            await asyncio.sleep(0)
        assert threading.active_count() == threads
    finally:
        work.may_end.set()
    assert await third == b"mine"


async def test_who_goes_away_while_others_hash_is_never_hashed_for() -> None:
    security, work = Security(), Work()
    logins = [asyncio.create_task(security.hashed(work, b"password")) for _ in range(3)]
    await until(lambda: work.under_way == 2)
    logins[2].cancel()
    work.may_end.set()
    assert await asyncio.gather(*logins[:2]) == [b"password", b"password"]
    assert logins[2].cancelled() or await asyncio.wait([logins[2]])
    assert await security.hashed(work, b"next") == b"next"
