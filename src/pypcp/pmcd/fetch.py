"""A fetch that agent processes take part in: asked together, waited for until a deadline, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

from pypcp.errors import PcpError, TryAgain
from pypcp.pmcd.agent_keeper import AgentKeeper
from pypcp.pmcd.plan import NOTHING_GATHERED, Leg, PlanView
from pypcp.pmcd.router import failed
from pypcp.pmda.interface import Client
from pypcp.pmda.segments import Fetched


async def gather(view: PlanView, client: Client, soft_s: float) -> Mapping[int, Fetched]:
    """What the processes of ``view`` answer, by domain.

    Where several agents take part a late one costs its own metrics only: they say "try again" after ``soft_s`` seconds,
    and the answer it gives later is kept for the next fetch. An only agent is waited for until it is ended.
    """
    legs = view.processes
    if not legs:
        return NOTHING_GATHERED
    if len(view.legs) == 1:
        return {legs[0].route.domain: await _ask(legs[0], client, alone=True)}
    return await _ask_all(legs, client, soft_s)


async def _ask(leg: Leg, client: Client, *, alone: bool) -> Fetched:
    try:
        return await cast(AgentKeeper, leg.route).fetch(leg.request, client, alone=alone)
    except PcpError as error:
        return failed(leg.request, error.code)


async def _ask_all(legs: list[Leg], client: Client, soft_s: float) -> dict[int, Fetched]:
    tasks = {asyncio.ensure_future(_ask(leg, client, alone=False)): leg for leg in legs}
    try:
        done, late = await asyncio.wait(tasks, timeout=soft_s)
    finally:
        for task in tasks:
            task.cancel()
    gathered = {tasks[task].route.domain: task.result() for task in done}
    for task in late:
        leg = tasks[task]
        cast(AgentKeeper, leg.route).statistics.late += 1
        gathered[leg.route.domain] = failed(leg.request, TryAgain.code)
    return gathered
