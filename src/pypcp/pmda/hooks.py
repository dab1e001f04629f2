"""The functions of an author that are called when something happens to the agent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from pypcp.pmda.interface import Client
from pypcp.pmda.readiness import Readiness

F = TypeVar("F", bound=Callable[..., Any])


class Hooks:
    """The part of an agent that is called, and not asked."""

    def __init__(self, *, client_attributes: bool) -> None:
        self.client_attributes = client_attributes
        self.readiness = Readiness()
        self._startup: list[Callable[[], Any]] = []
        self._shutdown: list[Callable[[], Any]] = []
        self._check: Callable[[], Any] | None = None
        self._before_fetch: list[Callable[[], Any]] = []
        self._on_attributes: list[Callable[[Client], Any]] = []
        self._on_end: list[Callable[[Client], Any]] = []

    def check(self, function: F) -> F:
        """Decorator: called before every request; raises a ``PcpError`` to refuse it.

        See: pmdaSetCheckCallBack(3)
        """
        self._check = function
        return function

    def before_fetch(self, function: F) -> F:
        """Decorator: called once for every fetch, before anything is read."""
        self._before_fetch.append(function)
        return function

    def startup(self, function: F) -> F:
        """Decorator: called (or awaited) once when the agent is started; until it is done the agent is not ready.

        Sources in the background are read after that. Coroutines run in the loop in which the sources' coroutines run,
        so what is opened here can be used there. What fails is logged, and the agent answers.
        """
        self._startup.append(function)
        return function

    def shutdown(self, function: F) -> F:
        """Decorator: called (or awaited, in the loop of the startup) once when the agent is stopped."""
        self._shutdown.append(function)
        return function

    def on_attributes(self, function: F) -> F:
        """Decorator: called with a client whose attributes have come or changed. See: pmdaAttribute(3)"""
        self.client_attributes = True
        self._on_attributes.append(function)
        return function

    def on_end(self, function: F) -> F:
        """Decorator: called with a client that has gone. See: pmdaSetEndContextCallBack(3)"""
        self._on_end.append(function)
        return function

    def not_ready(self) -> AbstractContextManager[None]:
        """Within this block the agent is not to be asked; clients are told to try again. See: pmdaSendError(3)"""
        return self.readiness.not_ready()
