"""Kubernetes quantities (`500m`, `1Gi`) as whole bytes and millicores, rounded up as the scheduler does."""

import re
from decimal import ROUND_CEILING, Decimal
from typing import Annotated

from pydantic import Field

# No exponents and no sign: nobody needs 1e3 for a pod, and what is refused cannot be misread.
PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"

# Like Pod resources: an integer, or a string with a suffix. A fraction must be quoted ("0.5" or 500m).
Quantity = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=PATTERN, max_length=32)]

_FACTORS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTP", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTP", start=1)},
}
_PATTERN = re.compile(PATTERN)


def _parse(quantity: int | str) -> Decimal:
    text = str(quantity)
    if _PATTERN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a quantity; write for example 500m or 2 for cpu, 1Gi for memory")
    number = text.rstrip("mkMGTPKi")
    return Decimal(number) * _FACTORS[text.removeprefix(number)]


def to_bytes(quantity: int | str) -> int:
    """Bytes of a memory quantity, rounded up.

    Raises:
        ValueError: with a sentence that says what to write.
    """
    return int(_parse(quantity).to_integral_value(ROUND_CEILING))


def to_millicores(quantity: int | str) -> int:
    """Thousandths of a CPU, rounded up.

    Raises:
        ValueError: with a sentence that says what to write.
    """
    return int((_parse(quantity) * 1000).to_integral_value(ROUND_CEILING))


def display_bytes(size: int) -> str:
    """A size for a column, in binary units: `812 B`, `48 MiB`, `1.4 GiB`."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1023.5:  # noqa: PLR2004 - what rounds up to 1024 is the next unit
            return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:.0f} {unit}"  # noqa: PLR2004
        value /= 1024
    return f"{value:.1f} TiB"
