"""``pypcp agent check``: what a reviewer would say of an agent."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pypcp.pmda.finding import find_agent
from pypcp.pmda.mistakes import mistake_in
from pypcp.pmda.review import review
from pypcp.tools.agent import agent_parser


def main(argv: Sequence[str]) -> int:
    """Print a line a finding; the exit status is 1 if there is a mistake among them."""
    given = agent_parser("check", "Say what a reviewer would say of an agent. Fetches all its values.").parse_args(argv)
    try:
        agent = find_agent(given.agent)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the author's code, whose mistakes are what is looked for
        print(f"pypcp agent check: {mistake_in(error)}", file=sys.stderr)
        return 2
    findings = review(agent)
    for finding in sorted(findings, key=lambda finding: (not finding.mistake, finding.about)):
        print(finding)
    mistakes = sum(finding.mistake for finding in findings)
    print(f"{given.agent}: {mistakes} mistakes, {len(findings) - mistakes} pieces of advice")
    return 1 if mistakes else 0
