"""Doing: one idempotent executor for each effect. Nothing is decided here."""

from penstock.act.main import carry_out

__all__ = ["carry_out"]
