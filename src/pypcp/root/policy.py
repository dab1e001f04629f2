"""What may be asked of the helper, and by whom: root's configuration, read by us, and nothing that a peer says.

Without a policy file the helper starts exactly the agents of pmcd.conf and tells root and the account ``pcp`` about
containers. A policy file (TOML) can only be root's::

    lookup-accounts = ["pcp"]                      # beside root
    agent-files = ["/etc/pcp/pmcd/pmcd.conf"]      # whose pipe and socket lines may be started
    control-unit = "pmcd.service"                  # a daemon that systemd started, beside our parent
    starts-per-minute = 20                         # of one agent
    engine-sockets = ["docker:/run/docker.sock"]   # to ask, beside reading files (docker, podman)

    [agents.linux]
    account = "root"                               # who it runs as
    deny = false
    command = "/opt/own/pmdaown -d 150"            # an agent that no agent file has
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pypcp.root.configured import AgentLine, BadConfiguration, parse
from pypcp.root.ground import UntrustedGround, check

DEFAULT_AGENT_FILE = "/etc/pcp/pmcd/pmcd.conf"
DEFAULT_ACCOUNT = "pcp"
ENGINES_WITH_SOCKETS = ("docker", "podman")
_MAX_BYTES = 1 << 20


class Decision(NamedTuple):
    """Whether, which line of root's it comes from, and the reason in words."""

    agent: AgentLine | None
    reason: str

    @property
    def permitted(self) -> bool:
        """True where there is an agent to start."""
        return self.agent is not None


class Rule(NamedTuple):
    """What a policy says about one agent, by its label."""

    account: str | None = None
    deny: bool = False
    command: str | None = None


class Policy(NamedTuple):
    """A policy in force. ``source`` names its file; ``owner`` is whose files count as configured (root, 0)."""

    source: str = "built in"
    lookup_accounts: tuple[str, ...] = (DEFAULT_ACCOUNT,)
    agent_files: tuple[str, ...] = (DEFAULT_AGENT_FILE,)
    control_unit: str = ""
    starts_per_minute: int = 20
    engine_sockets: tuple[tuple[str, str], ...] = ()
    """(engine, path of its socket)"""
    agents: Mapping[str, Rule] = MappingProxyType({})
    owner: int = 0

    def configured_agents(self) -> list[AgentLine]:
        """Every agent that could be started now, with its account; files are read at each call.

        ``UntrustedGround`` or ``BadConfiguration`` where a file cannot be believed: then nothing of any is started.
        """
        lines = []
        for path in self.agent_files:
            if os.path.exists(path):
                lines += parse(read_trusted(path, self.owner), path)
        own = [(label, rule.command) for label, rule in self.agents.items() if rule.command]
        lines += [AgentLine(label, True, tuple(command.split()), self.source) for label, command in own]
        return [line._replace(account=self._account(line.label)) for line in lines]

    def _account(self, label: str) -> str:
        rule = self.agents.get(label)
        return rule.account if rule and rule.account else "root"

    def decide(self, label: str, command: str, pipe: bool) -> Decision:
        """May this agent be started? The label and the whole command line must be a configured agent's."""
        try:
            agents = self.configured_agents()
        except (UntrustedGround, BadConfiguration, OSError) as fault:
            return Decision(None, f"the configuration cannot be believed: {fault}")
        named = [agent for agent in agents if agent.label == label]
        if not named:
            return Decision(None, f"no agent {label!r} is configured in {', '.join(self.agent_files)}")
        if self.agents.get(label, Rule()).deny:
            return Decision(None, f"{self.source} denies agent {label!r}")
        for agent in named:
            if agent.command == command and agent.pipe == pipe:
                return Decision(agent, f"configured at {agent.source}")
        return Decision(None, f"the command line is not the one configured at {named[0].source}")


def read_trusted(path: str, owner: int = 0) -> str:
    """The text of a file that is ``owner``'s alone, opened at the place that was checked."""
    with open(check(path, owner), "rb") as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise BadConfiguration(f"{path}: more than {_MAX_BYTES} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadConfiguration(f"{path}: not UTF-8 text") from None


def load(path: str, owner: int = 0) -> Policy:
    """The policy of a file. ``UntrustedGround``, ``BadConfiguration`` or ``OSError`` where it cannot be had."""
    try:
        settings = tomllib.loads(read_trusted(path, owner))
    except tomllib.TOMLDecodeError as fault:
        raise BadConfiguration(f"{path}: {fault}") from None
    rules = {label: _rule(path, label, rule) for label, rule in _take(path, settings, "agents", dict, {}).items()}
    policy = Policy(
        source=path,
        lookup_accounts=_texts(path, settings, "lookup-accounts", (DEFAULT_ACCOUNT,)),
        agent_files=_texts(path, settings, "agent-files", (DEFAULT_AGENT_FILE,)),
        control_unit=_take(path, settings, "control-unit", str, ""),
        starts_per_minute=_take(path, settings, "starts-per-minute", int, 20),
        engine_sockets=tuple(_engine_socket(path, text) for text in _texts(path, settings, "engine-sockets", ())),
        agents=rules,
        owner=owner,
    )
    _refuse_rest(path, settings)
    return policy


def _engine_socket(path: str, text: str) -> tuple[str, str]:
    engine, _, place = text.partition(":")
    if engine not in ENGINES_WITH_SOCKETS or not place.startswith("/"):
        example = f"{ENGINES_WITH_SOCKETS[0]}:/run/docker.sock"
        raise BadConfiguration(f"{path}: engine-sockets has {text!r}, which is not like {example!r}")
    return engine, place


def _rule(path: str, label: str, settings: object) -> Rule:
    if not isinstance(settings, dict):
        raise BadConfiguration(f"{path}: agents.{label} must be a table")
    where = f"{path}: agents.{label}"
    account = _take(where, settings, "account", str, "")
    rule = Rule(
        account or None, _take(where, settings, "deny", bool, False), _take(where, settings, "command", str, "") or None
    )
    _refuse_rest(where, settings)
    return rule


def _take(where: str, settings: dict[str, Any], key: str, kind: Callable[..., Any], default: Any) -> Any:
    value = settings.pop(key, default)
    if type(value) is not kind:
        raise BadConfiguration(f"{where}: {key} must be a {getattr(kind, '__name__', kind)}, not {value!r}")
    return value


def _texts(where: str, settings: dict[str, Any], key: str, default: Iterable[str]) -> tuple[str, ...]:
    values = _take(where, settings, key, list, list(default))
    if not all(isinstance(value, str) and value for value in values):
        raise BadConfiguration(f"{where}: {key} must be a list of texts, not {values!r}")
    return tuple(values)


def _refuse_rest(where: str, settings: dict[str, Any]) -> None:
    if settings:
        raise BadConfiguration(f"{where}: unknown setting {', '.join(map(repr, settings))}")
