"""``pypcp root policy``: what the helper would allow, and why, said by the very code that decides."""

from __future__ import annotations

import argparse
import os
import sys

from pypcp.root.configured import AgentLine, BadConfiguration
from pypcp.root.ground import UntrustedGround
from pypcp.root.launch import account_of, locate
from pypcp.root.policy import Decision, Policy, load


def main(argv: list[str]) -> int:
    """Run one of check, explain, show. 0 when all is well or permitted, 1 when not, 2 for a wrong command line."""
    options = _parser().parse_intermixed_args(argv)
    owner = os.geteuid()
    try:
        policy = load(os.path.abspath(options.policy), owner) if options.policy else Policy(owner=owner)
        agents = policy.configured_agents()
    except (UntrustedGround, BadConfiguration) as fault:
        print(f"nothing is started, because the configuration cannot be believed:\n{fault}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return int(_COMMANDS[options.action](policy, agents, options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pypcp root policy", description=__doc__)
    parser.add_argument("action", choices=sorted(_COMMANDS), help="verify everything; decide one case; list the policy")
    parser.add_argument("--policy", metavar="FILE", help="the helper's policy file (default: what holds without one)")
    parser.add_argument("--socket-agent", action="store_true", help="explain: an agent with a socket, not a pipe")
    parser.add_argument("label", nargs="?", help="explain: what the daemon calls the agent")
    parser.add_argument("command", nargs="?", help="explain: the whole command line, as one word")
    return parser


def _check(policy: Policy, agents: list[AgentLine], options: argparse.Namespace) -> int:
    """Every agent that is configured: would it start?"""
    print(f"policy: {policy.source}")
    faults = [_fault(policy, agent) for agent in agents]
    for agent, fault in zip(agents, faults, strict=True):
        print(f"{'refused  ' if fault else 'permitted'} {agent.label}: {agent.command}")
        print(f"          {fault or f'configured at {agent.source}, runs as {agent.account}'}")
    return int(any(faults))


def _fault(policy: Policy, agent: AgentLine) -> str:
    decision = policy.decide(agent.label, agent.command, agent.pipe)
    if decision.agent is None:
        return decision.reason
    try:
        account_of(decision.agent.account)
        program = locate(decision.agent, policy.owner)
    except KeyError:
        return f"there is no account {agent.account!r}"
    except (UntrustedGround, OSError) as fault:
        return str(fault)
    if program.descriptor >= 0:
        os.close(program.descriptor)
    return ""


def _explain(policy: Policy, agents: list[AgentLine], options: argparse.Namespace) -> int:
    """One case: the decision and its reason, as they would stand in the audit log."""
    if options.label is None or options.command is None:
        print("pypcp root policy explain: wants the agent's label and its whole command line", file=sys.stderr)
        return 2
    decision = policy.decide(options.label, options.command, not options.socket_agent)
    fault = _fault(policy, decision.agent) if decision.agent else ""
    final = Decision(None, fault) if fault else decision
    print(f"{'permitted' if final.permitted else 'refused'}: {final.reason}")
    if final.agent:
        print(f"runs as {final.agent.account}: {' '.join(map(repr, final.agent.argv))}")
    return 0 if final.permitted else 1


def _show(policy: Policy, agents: list[AgentLine], options: argparse.Namespace) -> int:
    """The policy in force, defaults included."""
    print(f"# {policy.source}")
    for key, value in (
        ("lookup-accounts", list(policy.lookup_accounts)),
        ("agent-files", list(policy.agent_files)),
        ("control-unit", policy.control_unit),
        ("starts-per-minute", policy.starts_per_minute),
        ("engine-sockets", [":".join(place) for place in policy.engine_sockets]),
    ):
        print(f"{key} = {str(value) if isinstance(value, int | list) else repr(value)}".replace("'", '"'))
    for agent in agents:
        print(f"# {agent.label} as {agent.account}: {agent.command}  ({agent.source})")
    return 0


_COMMANDS = {"check": _check, "explain": _explain, "show": _show}
