"""Finding agents: by the name of an installed one, or by the file that declares one.

A package offers agents under the entry point group ``pypcp.agents``; those that come with pypcp are modules of
``pypcp.agents``. What an entry point or a file gives is an :class:`Agent` (in a file: called ``agent``, or the only one
there), or a function that makes one, called with ``state``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from pypcp.errors import BadArgument
from pypcp.pmda.agent import Agent
from pypcp.pmda.declarations import FORCED_DOMAIN, GIVEN_STATE

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "pypcp.agents"
SHIPPED: Final = ("jbd2", "linux", "mmv", "pmproxy", "sample", "simple", "trivial")
"""Modules of ``pypcp.agents``."""

USUAL_AGENTS: Final = ("linux", "mmv")
"""What answers where nobody has named any: the host, and what applications publish."""


def find_agent(name_or_file: str, *, domain: int | None = None, state: Path | None = None) -> Agent:
    """The agent of that name, or declared in that file (a path with a ``/``, or ending in ``.py``).

    ``domain``: the domain it has instead of its own. ``state``: where it keeps its ids. ``BadArgument`` says what there
    is instead; what the author's code raises when it is imported comes as it is. What it prints then goes where errors
    go: standard output is the tool's.
    """
    with _given(domain, state), redirect_stdout(sys.stderr):
        if "/" in name_or_file or name_or_file.endswith(".py"):
            found = _in_file(Path(name_or_file))
        elif name_or_file in SHIPPED:
            found = _shipped(name_or_file)
        else:
            found = _entry_point(name_or_file).load()
        agent = found if isinstance(found, Agent) else _made(found, name_or_file, state)
    if state is not None:
        agent.use_state(state)
    return agent


def installed_agents() -> dict[str, str]:
    """The names of all agents that are installed, and where each is from."""
    from importlib.metadata import entry_points  # slow to import, and seldom asked

    offered = {each.name: each.value for each in entry_points(group=GROUP)}
    return {**offered, **{name: f"pypcp.agents.{name}" for name in SHIPPED}}


@contextmanager
def _given(domain: int | None, state: Path | None) -> Iterator[None]:
    """Agents that are declared within this block have this domain, and keep their ids there."""
    domain_before, state_before = FORCED_DOMAIN.set(domain), GIVEN_STATE.set(state)
    try:
        yield
    finally:
        FORCED_DOMAIN.reset(domain_before)
        GIVEN_STATE.reset(state_before)


def _entry_point(name: str) -> EntryPoint:
    from importlib.metadata import entry_points

    for each in entry_points(group=GROUP, name=name):
        return each
    known = ", ".join(sorted(installed_agents()))
    raise BadArgument(f"no agent {name!r} is installed; there are {known}; a file needs a / or .py in its name")


def _in_file(path: Path) -> Any:
    if not path.is_file():
        raise BadArgument(f"{path}: there is no such file")
    # As for a program that is run: what it imports may lie beside it.
    directory = str(path.resolve().parent)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    return _declared_in(_import_anew(path.stem, path), path.stem)


def _shipped(name: str) -> Any:
    module = f"pypcp.agents.{name}"
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise BadArgument(f"{module} is missing in this installation")
    is_package = spec.submodule_search_locations is not None
    imported = importlib.import_module(module) if is_package else _import_anew(module, Path(spec.origin))
    return _declared_in(imported, name)


_imported = count()


def _import_anew(name: str, path: Path) -> ModuleType:
    """A module of its own for each agent: whoever asks for one twice gets two, which know nothing of each other."""
    own_name = f"{name}__agent{next(_imported)}"
    spec = importlib.util.spec_from_file_location(own_name, path)
    if spec is None or spec.loader is None:
        raise BadArgument(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Classes look for the module they are declared in (dataclasses do, to read annotations).
    sys.modules[own_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[own_name]
        raise
    return module


def _declared_in(module: ModuleType, short: str) -> Any:
    """What declares the agent of a module."""
    for name in ("agent", f"{short}_agent"):
        found = getattr(module, name, None)
        if found is not None and not isinstance(found, ModuleType):
            return found
    agents = [each for each in vars(module).values() if isinstance(each, Agent)]
    if len(agents) == 1:
        return agents[0]
    if not agents:
        raise BadArgument(f"{module.__file__}: no agent is declared there: agent = Agent(...)")
    raise BadArgument(f"{module.__file__}: {len(agents)} agents are declared there; call the one to be used 'agent'")


def _made(make: Callable[..., Any], by: str, state: Path | None) -> Agent:
    made = make(state=state)
    if not isinstance(made, Agent):
        raise BadArgument(f"{by}: it makes {type(made).__name__}, not an agent")
    return made
