"""What an agent process does wrong costs its own metrics, never anybody else's values."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from fakes.client import RawClient
from fakes.held_agent import WELL, Lead
from pypcp.errors import NoAgent, ProtocolError, RequestTimeout, TryAgain
from pypcp.model.ids import PM_ID_NULL, Pmid
from pypcp.model.values import ValueType
from pypcp.pmapi.context import Context
from pypcp.pmda.agent import Agent
from pypcp.wire.pdu import PduType, StateChange
from pypcp.wire.pmns import PmnsIds, PmnsNames
from running import Running, Starter
from waiting import until

pytestmark = pytest.mark.anyio
GOOD, BAD = 100, 101
GOOD_VALUE, BAD_VALUE = Pmid.build(GOOD, 0, 0), Pmid.build(BAD, 0, 0)
ECHO = 0x5A5A5A5A
NUMAGENTS = Pmid.build(2, 0, 2)
AN_HOUR = 3600.0


@pytest.fixture
def lead(tmp_path: Path) -> Iterator[Lead]:
    with Lead(tmp_path, BAD) as lead:
        yield lead


async def fetched(client: Context, *pmids: int) -> list[object]:
    """Each metric's value, or the class of its error."""
    result = await client.fetch(pmids)
    return [type(each.error) if each.error else each.value for each in result.value_sets]


def alive_in_group(group: int) -> list[int]:
    """The processes of a group that have not ended; whoever has to reap them may take his time."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                alive.append(int(stat.parent.name))
    return alive


async def test_an_agent_in_good_order_is_relayed(start: Starter) -> None:
    async with start({GOOD: "well"}) as running, running.client() as client:
        assert await fetched(client, GOOD_VALUE, NUMAGENTS, GOOD_VALUE) == [1, 2, 1]
        assert (await client.lookup_desc(GOOD_VALUE)).pmid == GOOD_VALUE
        assert await client.lookup_name("fake100.value") == GOOD_VALUE


async def test_a_late_agent_costs_its_own_metrics_and_answers_the_next_fetch(start: Starter, lead: Lead) -> None:
    async with start({BAD: "held"}, agent_soft_s=0.1, agent_s=AN_HOUR) as running, running.client() as client:
        lead.let()
        await client.lookup_descs([NUMAGENTS, BAD_VALUE])
        assert await fetched(client, NUMAGENTS, BAD_VALUE) == [2, TryAgain]
        lead.let()
        await until(lambda: running.keeper(BAD).statistics.requests == 2)
        assert await fetched(client, NUMAGENTS, BAD_VALUE) == [2, 1]
        assert running.keeper(BAD).statistics.late == 1


async def test_a_late_agent_alone_is_waited_for(start: Starter) -> None:
    async with start({BAD: "late 0.6"}, agent_soft_s=0.1) as running, running.client() as client:
        assert await fetched(client, BAD_VALUE) == [1]


async def test_whose_turn_does_not_come_within_the_hard_limit_is_told_to_try_again(start: Starter, lead: Lead) -> None:
    async with start({BAD: "held"}, agent_s=AN_HOUR) as running, AsyncExitStack() as stack:
        first, *others = [await stack.enter_async_context(running.client()) for _ in range(4)]
        under_way = asyncio.create_task(fetched(first, BAD_VALUE))
        await until(lambda: lead.seen("Fetch"))
        running.limit(BAD, 0.1)
        answers = await asyncio.gather(*[fetched(each, BAD_VALUE) for each in others])
        assert answers == [[TryAgain]] * 3
        running.limit(BAD, AN_HOUR)
        lead.let(WELL, WELL, WELL)  # a client asks for the descriptor too, once
        assert await under_way == [1]
        assert await fetched(first, BAD_VALUE) == [2]
        assert running.keeper(BAD).statistics.restarts == 0


async def test_others_fetch_while_an_agent_hangs(start: Starter) -> None:
    async with (
        start({GOOD: "well", BAD: "hang"}, agent_s=AN_HOUR) as running,
        running.client() as stuck,
        running.client() as other,
    ):
        waiting = asyncio.create_task(fetched(stuck, BAD_VALUE))
        await until(lambda: running.is_busy(BAD))
        assert [await fetched(other, GOOD_VALUE) for _ in range(20)] == [[count] for count in range(1, 21)]
        assert not waiting.done()
        waiting.cancel()


async def test_a_hanging_agent_is_killed_with_its_children_and_started_again(start: Starter) -> None:
    async with start({BAD: "hang"}, agent_s=0.2) as running, running.client() as client:
        before = running.keeper(BAD).pid
        assert await fetched(client, BAD_VALUE) == [RequestTimeout]
        await until(lambda: running.keeper(BAD).pid not in (0, before) and running.keeper(BAD).refusal is None)
        await until(lambda: not alive_in_group(before))
        assert running.keeper(BAD).statistics.restarts == 1


@pytest.mark.parametrize("behaviour", ["garbage", "print", "half", "short", "wrong", "overlapping", "die", "cut"])
async def test_a_broken_reply_ends_the_agent_alone(start: Starter, behaviour: str) -> None:
    limits = {"agent_s": AN_HOUR, "agent_soft_s": AN_HOUR}
    async with start({GOOD: "well", BAD: behaviour}, **limits) as running, running.client() as client:
        running.limit(BAD, 0.5)
        first = await client.fetch([GOOD_VALUE, BAD_VALUE])
        assert first.value_sets[0].value == 1
        assert isinstance(first.value_sets[1].error, ProtocolError | NoAgent)
        await until(lambda: running.keeper(BAD).statistics.restarts == 1)
        second = await client.fetch([GOOD_VALUE])
        assert second.value_sets[0].value == 2
        assert (first.changes | second.changes) & StateChange.DROP_AGENT


async def test_a_reply_that_nobody_asked_for_is_not_taken_for_the_next(start: Starter) -> None:
    async with start({BAD: "twice"}) as running, running.client() as client:
        await client.lookup_desc(BAD_VALUE)
        assert await fetched(client, BAD_VALUE) == [1]
        await until(lambda: running.daemon.statistics.pdu_in[PduType.RESULT & 63] == 2)
        assert await fetched(client, BAD_VALUE) == [2]


async def test_an_agent_that_floods_is_ended(start: Starter) -> None:
    async with start({BAD: "flood"}) as running, running.client() as client:
        assert await fetched(client, BAD_VALUE) in ([1], [NoAgent])
        await until(lambda: running.keeper(BAD).statistics.restarts == 1)


async def test_after_a_hiccup_values_are_fresh_again(start: Starter, lead: Lead) -> None:
    async with start({BAD: "held"}, agent_soft_s=AN_HOUR, agent_s=AN_HOUR) as running, running.client() as client:
        lead.let(WELL, WELL)
        await client.lookup_descs([NUMAGENTS, BAD_VALUE])
        assert (await fetched(client, NUMAGENTS, BAD_VALUE))[1] == 1
        running.change_limits(agent_soft_s=0.1)
        assert (await fetched(client, NUMAGENTS, BAD_VALUE))[1] is TryAgain
        lead.let()
        await until(lambda: not running.is_busy(BAD))
        running.change_limits(agent_soft_s=AN_HOUR)
        lead.let()
        assert (await fetched(client, NUMAGENTS, BAD_VALUE))[1] == 3


async def test_requests_of_clients_that_left_do_not_wait_for_an_agent(start: Starter) -> None:
    async with start({BAD: "late 0.3"}) as running:
        for _ in range(10):
            async with running.client() as leaver:
                leaving = asyncio.create_task(leaver.fetch([BAD_VALUE]))
                await until(lambda: running.is_busy(BAD))
                leaving.cancel()
        async with running.client() as client:
            assert (await fetched(client, BAD_VALUE))[0] in (2, 3)


async def test_a_client_that_leaves_does_not_take_the_exchange_with_it(start: Starter) -> None:
    async with start({BAD: "late 0.2"}) as running:
        async with running.client() as leaver:
            leaving = asyncio.create_task(fetched(leaver, BAD_VALUE))
            await until(lambda: running.is_busy(BAD))
            leaving.cancel()
        async with running.client() as client:
            assert await fetched(client, BAD_VALUE) == [2]


async def test_an_agent_that_is_not_ready_says_try_again_until_it_is(start: Starter) -> None:
    async with start({BAD: "unready 1.0"}) as running, running.client() as client:
        assert await fetched(client, BAD_VALUE) == [TryAgain]
        assert await fetched(client, BAD_VALUE) == [TryAgain]
        await until(lambda: running.keeper(BAD).refusal is None)
        assert await fetched(client, BAD_VALUE) == [2]


async def test_notices_of_an_agent_reach_every_client_once(start: Starter) -> None:
    async with start({BAD: "changing"}) as running, running.client() as first, running.client() as second:
        await first.fetch([BAD_VALUE])
        assert (await first.fetch([BAD_VALUE])).changes == StateChange.LABEL_CHANGE | StateChange.NAMES_CHANGE
        assert (await first.fetch([BAD_VALUE])).changes == StateChange.NO_CHANGE
        assert (await second.fetch([NUMAGENTS])).changes == StateChange.LABEL_CHANGE | StateChange.NAMES_CHANGE


async def test_a_silent_agent_is_abandoned_and_the_daemon_serves(start: Starter) -> None:
    async with start({BAD: "silent"}, agent_hello_s=0.3) as running, running.client() as client:
        assert await fetched(client, NUMAGENTS, BAD_VALUE) == [1, NoAgent]


async def test_an_agent_that_wants_to_know_is_told_of_clients_and_of_their_end(start: Starter, tmp_path: Path) -> None:
    async with start({BAD: "curious"}) as running:
        async with running.client() as client:
            await fetched(client, BAD_VALUE)
        seen = tmp_path / "seen"
        await until(lambda: "Error 0" in seen.read_text())
    lines = seen.read_text().splitlines()
    assert lines[0].startswith("Creds")
    told = [line.split()[0] for line in lines[1:]]
    assert told == [*["Attribute"] * 3, "ProfilePdu", "Fetch", "DescRequest", "Error"]
    assert f"b'{os.getpid()}\\x00'" in lines[1]


async def test_names_of_an_agent_that_hangs_are_left_out_of_a_traverse(start: Starter) -> None:
    async with start({GOOD: "well", BAD: "nameless"}, agent_s=AN_HOUR) as running, running.client() as client:
        running.limit(BAD, 0.3)
        names = await client.traverse("")
        assert "fake100.more.one" in names
        assert "fake101.value" in names
        assert not [name for name in names if name.startswith("fake101.more")]


async def unready(running: Running) -> None:
    async with running.client() as client:
        assert await fetched(client, BAD_VALUE) == [TryAgain]


async def fenced(running: Running) -> None:
    running.keeper(BAD).fenced = True


async def silent(running: Running) -> None:
    """It does not answer look-ups, and is ended for that."""
    running.limit(BAD, 0.3)


@pytest.mark.parametrize("trouble", [unready, fenced, silent])
async def test_an_agent_in_trouble_costs_its_own_names(
    start: Starter, trouble: Callable[[Running], Awaitable[None]]
) -> None:
    async with start({BAD: "unready 60"}, agent_s=AN_HOUR) as running, RawClient(running.path) as client:
        await client.greeted()
        await trouble(running)
        found = await client.answer(PmnsNames(["fake101.value", "fake101.more.one", "pmcd.numagents", "nosuch"]))
        assert found == PmnsIds((BAD_VALUE, PM_ID_NULL, NUMAGENTS, PM_ID_NULL), 2)


async def test_no_slot_is_used_again_before_an_agent_knows_of_its_end(start: Starter) -> None:
    async with start({BAD: "late 0.3"}) as running:
        async with running.client() as client:
            leaving = asyncio.create_task(fetched(client, BAD_VALUE))
            await until(lambda: running.is_busy(BAD))
            leaving.cancel()
        await until(lambda: len(running.daemon.clients) == 0)
        async with running.client():
            await until(lambda: len(running.daemon.clients) == 1)
            assert next(iter(running.daemon.clients)).client.context == 1


async def test_a_reload_keeps_agents_that_stay_and_ends_those_that_go(start: Starter, tmp_path: Path) -> None:
    async with start({GOOD: "well", BAD: "well"}) as running, running.client() as client:
        stays = running.keeper(GOOD).pid
        assert await fetched(client, GOOD_VALUE, BAD_VALUE) == [1, 1]
        configuration = tmp_path / "pmcd.conf"
        configuration.write_text(configuration.read_text().splitlines()[0] + "\n")
        await running.daemon.reload()
        assert await fetched(client, GOOD_VALUE, BAD_VALUE) == [2, NoAgent]
        assert running.keeper(GOOD).pid == stays


async def test_clients_fetch_on_while_agents_are_added_and_removed(start: Starter, tmp_path: Path) -> None:
    """Who stays is never missed, and who comes and goes costs its own metrics only; every reply is the right one."""
    async with start({GOOD: "echo", BAD: "echo"}) as running:
        configuration = tmp_path / "pmcd.conf"
        whole = configuration.read_text()
        stays = running.keeper(GOOD).pid
        stop = asyncio.Event()
        seen: set[tuple[object, ...]] = set()
        fetching = [asyncio.create_task(_fetch_on(running, stop, seen)) for _ in range(10)]
        for text, expected in ((whole.splitlines()[0] + "\n", NoAgent), (whole, BAD_VALUE ^ ECHO)) * 3:
            configuration.write_text(text)
            await running.daemon.reload()
            await until(lambda expected=expected: (GOOD_VALUE ^ ECHO, expected) in seen)
            seen.clear()
        stop.set()
        await asyncio.gather(*fetching)
        assert running.keeper(GOOD).pid == stays


async def _fetch_on(running: Running, stop: asyncio.Event, seen: set[tuple[object, ...]]) -> None:
    """Note what is seen; nothing but the right values, or that there is no such agent, may be."""
    async with running.client() as client:
        while not stop.is_set():
            good, bad = await fetched(client, GOOD_VALUE, BAD_VALUE)
            assert good == GOOD_VALUE ^ ECHO
            assert bad in (BAD_VALUE ^ ECHO, NoAgent)
            seen.add((good, bad))


async def test_a_bad_configuration_changes_nothing(start: Starter, tmp_path: Path) -> None:
    async with start({GOOD: "well"}) as running, running.client() as client:
        (tmp_path / "pmcd.conf").write_text("nonsense\n")
        await running.daemon.reload()
        assert await fetched(client, GOOD_VALUE) == [1]


async def test_an_agent_in_the_daemon_that_is_not_ready_costs_its_own_metrics_only(start: Starter) -> None:
    agent = Agent("busy", BAD)
    agent.cluster(0).metric("busy.value", 0, ValueType.U32, lambda _: 7, help_="A number\nIt is seven.")
    async with start(own=[agent]) as running, running.client() as client:
        with agent.not_ready():
            assert await fetched(client, NUMAGENTS, BAD_VALUE) == [2, TryAgain]
        assert await fetched(client, NUMAGENTS, BAD_VALUE) == [2, 7]


async def test_names_that_do_not_go_together_change_nothing_and_the_next_reload_is_done(
    start: Starter, tmp_path: Path
) -> None:
    async with start({GOOD: "well"}) as running, running.client() as client:
        names = (tmp_path / "names").read_text()
        (tmp_path / "names").write_text("root {\n    pmcd 200:0:0\n}\n")
        await running.daemon.reload()
        assert await client.lookup_name("fake100.value") == GOOD_VALUE
        (tmp_path / "names").write_text(names.replace("value", "other"))
        await running.daemon.reload()
        assert await client.lookup_name("fake100.other") == GOOD_VALUE
