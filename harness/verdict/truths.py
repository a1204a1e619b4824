"""What is right of a case: eager's answer to every call of every method that is judged."""

from __future__ import annotations

from harness.cases.case import Built, Method
from harness.verdict.oracle import InvalidCase, Truth, effects, truth

#: Ends the reason of a case whose module gives something else, such as a cache of its own class.
_RETURNED = "; a program returns tensors, numbers and None, in lists, tuples and dicts"
#: Ends the reason of a case whose module writes to its arguments.
_CHANGES_INPUTS = (
    "a lowered program leaves its inputs as they are: work on a copy (`x = x.clone()`), or return the new value"
)


def truths_of(built: Built, users_own: bool) -> dict[str, list[Truth]]:
    """Those of the methods that are judged, by name. Raises `InvalidCase` with the method's name, unless the case's own
    is at fault."""
    found = {}
    for method in built.judged:
        try:
            found[method.name] = _of_method(method, users_own)
        except InvalidCase as error:
            where = "" if method.name == built.method else f"method {method.name}: "
            raise InvalidCase(f"{where}{error}") from None
    return found


def _of_method(method: Method, users_own: bool) -> list[Truth]:
    """What is right, call by call. Raises `InvalidCase` with the reason, for a user's own module also where it changes
    its own inputs."""
    state = False
    if users_own or method.calls:
        found = effects(method.module, method.arguments[0])
        state = found.state
        if users_own and found.inputs:
            raise InvalidCase(f"the module changes its own input {found.inputs[0]} in place; {_CHANGES_INPUTS}")
    truths = []
    for number, arguments in enumerate(method.arguments):
        try:
            right = truth(method.module, arguments.inputs, arguments.kwargs, method.arguments[:number] if state else ())
            if right.non_tensors:
                raise InvalidCase(f"a result is no tensor: {', '.join(right.non_tensors)}{_RETURNED}")
        except InvalidCase as error:
            raise InvalidCase(f"calls[{number - 1}]: {error}" if number else str(error)) from None
        truths.append(right)
    return truths
