"""What an author's function says of its metric: type and semantics by its annotation, help by its docstring."""

from __future__ import annotations

import contextlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar, Union

from pypcp.model.events import EventArray
from pypcp.model.values import Semantics, ValueType

T = TypeVar("T")

Counter = Annotated[T, Semantics.COUNTER]
"""``-> Counter[int]``: only ever grows; people look at its rate."""
Discrete = Annotated[T, Semantics.DISCRETE]
"""``-> Discrete[str]``: changes seldom, and the value in between is the one before."""

I32 = Annotated[int, ValueType.I32]
U32 = Annotated[int, ValueType.U32]
I64 = Annotated[int, ValueType.I64]
U64 = Annotated[int, ValueType.U64]
F32 = Annotated[float, ValueType.FLOAT]
F64 = Annotated[float, ValueType.DOUBLE]

_PLAIN: Final[dict[Any, ValueType]] = {
    bool: ValueType.U32,
    int: ValueType.I64,
    float: ValueType.DOUBLE,
    str: ValueType.STRING,
    bytes: ValueType.AGGREGATE,
    EventArray: ValueType.HIGHRES_EVENT,
}


@dataclass(slots=True)
class Declared:
    """What the annotation of a function's result says; None: nothing."""

    type: ValueType | None = None
    sem: Semantics | None = None
    many: bool = False
    """A value an instance, in a mapping or a sequence."""


def declared_by(function: Callable[..., Any]) -> Declared:
    """Read the return annotation. ``TypeError`` names the function whose annotation says no type of metric."""
    found = Declared()
    hint = _result_of(function)
    if hint is not None:
        _read(hint, found, function)
    if found.type is ValueType.I64 and found.sem is Semantics.COUNTER and not _says(hint, ValueType.I64):
        found.type = ValueType.U64
    return found


def type_of(hint: Any, of: str) -> ValueType:
    """The type of a value that an annotation tells; ``TypeError``, which says ``of`` what, if it tells none."""
    found = Declared()
    with contextlib.suppress(TypeError):
        _read(hint, found, type_of)
    if found.type is None or found.many:
        raise TypeError(f"{of}: {hint!r} is no type of a single value; int, float, str, bytes, U32 and its like are")
    return found.type


def _result_of(function: Callable[..., Any]) -> Any:
    """The annotation of the result alone: those of the parameters may be for type checkers only."""
    said = inspect.get_annotations(function)
    if "return" not in said:
        return None
    only = types.SimpleNamespace(__annotations__={"return": said["return"]})
    names = {**getattr(function, "__globals__", {})}
    return typing.get_type_hints(only, globalns=names, include_extras=True)["return"]


def _says(hint: Any, what: object) -> bool:
    return what in getattr(hint, "__metadata__", ()) or any(_says(part, what) for part in typing.get_args(hint))


def _read(hint: Any, found: Declared, function: Callable[..., Any]) -> None:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        _read(arguments[0], found, function)
        for said in arguments[1:]:
            if isinstance(said, ValueType):
                found.type = said
            elif isinstance(said, Semantics):
                found.sem = said
    elif origin in (Union, types.UnionType):
        for part in arguments:
            if part is not type(None):
                _read(part, found, function)
    elif hint in _PLAIN:
        found.type = _PLAIN[hint]
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        found.many = True
        _read(arguments[1], found, function)
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        found.many = True
        _read(arguments[0], found, function)
    elif hint is not Any:
        raise TypeError(f"{function.__qualname__}: {hint!r} is no type of a metric's values; give type_=")


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the parameters that a caller has to give."""
    return tuple(
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    )


def help_of(function: Callable[..., Any]) -> str:
    """The docstring, its indentation removed; empty without one."""
    return inspect.getdoc(function) or ""
