"""How many evaluations another solver needs to be as good."""

from collections.abc import Callable

LIMIT = 64


def fewest(error_at: Callable[[int], float], aim: float, steps: int) -> int | None:
    """The fewest evaluations at which an error is at most `aim`; None where LIMIT are too few.

    Looks ahead in growing strides, then between the last two: the error is taken to fall with every
    evaluation. `steps` of them are known to be too few, unless they are enough already.
    """
    if error_at(steps) <= aim:
        return steps
    low, high = steps, steps + 1
    while error_at(high) > aim:
        if high >= LIMIT:
            return None
        low, high = high, min(LIMIT, high + 2 * (high - low))
    while high - low > 1:
        middle = (low + high) // 2
        if error_at(middle) <= aim:
            high = middle
        else:
            low = middle
    return high
