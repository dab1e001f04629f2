"""The list of PMAPI calls, written once: each is an operation, and the kind of context decides how it is driven.

``context.fetch(pmids)`` of a :class:`pypcp.pmapi.blocking.BlockingContext` returns a result, that of a
:class:`pypcp.pmapi.context.Context` something to await; both are the descriptor :class:`call` around the operation.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from pypcp.pmapi.operations import labels as label_calls
from pypcp.pmapi.operations import metadata, names, values
from pypcp.pmapi.operations.state import ContextState
from pypcp.pmapi.operations.steps import Operation

_P = ParamSpec("_P")
_T = TypeVar("_T")


class BlockingDriver:
    """Runs operations in the caller's thread."""

    state: ContextState

    def run(self, operation: Operation[_T]) -> _T:
        """What the operation returns, when it has returned."""
        raise NotImplementedError


class AsyncDriver:
    """Runs operations on an event loop."""

    state: ContextState

    async def run(self, operation: Operation[_T]) -> _T:
        """What the operation returns."""
        raise NotImplementedError


class call(Generic[_P, _T]):  # noqa: N801  # used like a decorator
    """An operation as a method of a context: the same arguments without the state."""

    def __init__(self, operation: Callable[Concatenate[ContextState, _P], Operation[_T]]) -> None:
        self._operation = operation
        self.__doc__ = operation.__doc__

    @overload
    def __get__(self, context: None, owner: type) -> Callable[Concatenate[ContextState, _P], Operation[_T]]: ...
    @overload
    def __get__(self, context: BlockingDriver, owner: type) -> Callable[_P, _T]: ...
    @overload
    def __get__(self, context: AsyncDriver, owner: type) -> Callable[_P, Coroutine[Any, Any, _T]]: ...
    def __get__(self, context: BlockingDriver | AsyncDriver | None, owner: type) -> Callable[..., Any]:
        if context is None:
            return self._operation

        def bound(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            return context.run(self._operation(context.state, *args, **kwargs))

        bound.__doc__ = self.__doc__
        return bound


class Calls:
    """Every PMAPI call of a context. What a call means is said where its operation is."""

    state: ContextState

    lookup_name = call(names.lookup_name)
    lookup_names = call(names.lookup_names)
    name_of = call(names.name_of)
    names_of = call(names.names_of)
    children = call(names.children)
    traverse = call(names.traverse)
    lookup_desc = call(metadata.lookup_desc)
    lookup_descs = call(metadata.lookup_descs)
    instances = call(metadata.instances)
    lookup_instance = call(metadata.lookup_instance)
    instance_name = call(metadata.instance_name)
    lookup_text = call(metadata.lookup_text)
    lookup_indom_text = call(metadata.lookup_indom_text)
    indom_labels = call(label_calls.indom_labels)
    labels = call(label_calls.labels)
    metric_labels = call(label_calls.metric_labels)
    fetch = call(values.fetch)
    store = call(values.store)

    def add_profile(self, indom: int, instances: Iterable[int] = ()) -> None:
        """Want these instances of a domain in fetches to come; none named: all. See: pmAddProfile(3)."""
        self.state.profile = self.state.profile.add(indom, instances)

    def delete_profile(self, indom: int, instances: Iterable[int] = ()) -> None:
        """Do not want these instances of a domain; none named: all. See: pmDelProfile(3)."""
        self.state.profile = self.state.profile.delete(indom, instances)


class BlockingCalls(Calls, BlockingDriver):
    """A context whose calls return their answer, whoever answers. It ends with :meth:`close` or a ``with`` block.

    ``host``: whom it asks, as it was given.
    """

    host: str

    def close(self) -> None:
        """Let go of whoever answers. See: pmDestroyContext(3)."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
