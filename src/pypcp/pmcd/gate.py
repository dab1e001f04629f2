"""The gate: who comes in, what each may do, and how many there are. See: pmcd(1), ACCESS CONTROL CONFIGURATION."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass

from pypcp.errors import PcpError, PermissionDenied
from pypcp.pmcd.access import Access, AccessRules, Connections
from pypcp.pmcd.access_compiler import compile_rules
from pypcp.pmcd.access_names import SystemAccounts, hosts
from pypcp.pmcd.access_statements import NO_OPERATION, Operation, Statement
from pypcp.pmda.interface import Client

log = logging.getLogger(__name__)

_NOTHING = Access()


@dataclass(slots=True, eq=False)
class Pass:
    """What one client was let in on: by where it comes from (``address``, None for the UNIX socket), by its account.

    ``welcome``: its greeting is over. Before that nobody can say what its account is.
    """

    address: str | None
    host: Access = _NOTHING
    account: Access = _NOTHING
    never: Operation = NO_OPERATION
    welcome: bool = False

    @property
    def denied(self) -> Operation:
        """What the client may not do."""
        return self.host.denied | self.account.denied | self.never


class Gate:
    """Lets clients in by the rules, and counts them.

    ``restricted``: nothing was configured, so only root and our own account store values, by the UNIX socket.
    ``needs_credentials``: every client must say who it is, whatever the rules are (pmcd -S).
    """

    def __init__(self, rules: AccessRules, *, restricted: bool, needs_credentials: bool = False) -> None:
        self.rules = rules
        self.connections = Connections()
        self._restricted = restricted
        self._always = needs_credentials

    @property
    def needs_credentials(self) -> bool:
        """Must a client say who it is?"""
        return self._always or self.rules.needs_credentials

    def arrive(self, address: str | None) -> Pass:
        """A client comes from there. ``PermissionDenied``, ``ConnectionLimit``."""
        entered = Pass(address)
        entered.host = self._admit(entered, self.rules.for_host(address))
        return entered

    def identify(self, entered: Pass, client: Client) -> None:
        """It is known now who the client is, or that it does not say. ``PermissionDenied``, ``ConnectionLimit``."""
        self.connections.release(entered.account)
        entered.account = _NOTHING
        if self.needs_credentials and client.uid is None and client.username is None:
            raise PermissionDenied("credentials are required")
        entered.account = self._admit(entered, self.rules.for_account(client.uid, client.gid))
        if self._restricted and not (entered.address is None and client.uid in (0, os.geteuid())):
            entered.never |= Operation.STORE

    def leave(self, entered: Pass) -> None:
        """The client has gone."""
        self.connections.release(entered.host)
        self.connections.release(entered.account)

    def change(self, rules: AccessRules, clients: Iterable[tuple[Pass, Client]]) -> list[Client]:
        """Other rules from now on; gives the clients that these do not let in."""
        self.rules = rules
        self.connections = Connections()
        refused = []
        for entered, client in clients:
            entered.host = entered.account = _NOTHING
            try:
                entered.host = self._admit(entered, self.rules.for_host(entered.address))
                if entered.welcome:
                    self.identify(entered, client)
            except PcpError:
                refused.append(client)
        return refused

    def _admit(self, entered: Pass, access: Access) -> Access:
        try:
            self.connections.admit(access)
        except PcpError as error:
            if self.connections.first_refusal(entered.address):
                log.warning("access violation from host %s: %s", entered.address or "unix:", error)
            raise
        log.debug("%s comes in; denied: %s", entered.address or "unix:", access.denied.name or "nothing")
        return access


def rules_of(statements: Iterable[Statement]) -> AccessRules:
    """The rules that statements make, with this host's names and accounts. ``ConfigurationError``."""
    rules = compile_rules(tuple(statements), hosts(), SystemAccounts())
    for warning in rules.warnings:
        log.warning("%s", warning)
    return rules
