"""What should happen next, and why. Pure: no clock, no randomness, no IO; `decide(observed)` is the whole entrance."""

from penstock.decide.main import decide
from penstock.decide.needs import Needs, needs

__all__ = ["Needs", "decide", "needs"]
