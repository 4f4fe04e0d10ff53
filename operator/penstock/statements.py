"""The statements of a script, as far as somebody must know them who does not run it. Pure, standard library only.

Flink's own parser has the last word. Here it is only told where a statement begins that would change what lies outside
of the job: a table, a view or a database of a catalog that is not the session's own memory. A trial must not do that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SESSION = "default_catalog"
_TOKEN = re.compile(r"--[^\n]*|/\*(?!\+).*?\*/|'(?:[^']|'')*'|`(?:[^`]|``)*`|;|[^'`;/-]+|.", re.DOTALL)
_PART = r"(?:`(?:[^`]|``)+`|[\w$]+)"
_NAME = rf"(?P<name>{_PART}(?:\s*\.\s*{_PART})*)"
_KIND = r"(?:MATERIALIZED\s+TABLE|TABLE|VIEW|FUNCTION|MODEL|CONNECTION|DATABASE)"
_CREATE_CATALOG = re.compile(rf"CREATE\s+CATALOG\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}", re.IGNORECASE)
_IN_MEMORY = re.compile(r"'type'\s*=\s*'generic_in_memory'", re.IGNORECASE)
_USE = re.compile(rf"USE\s+(?P<catalog>CATALOG\s+)?{_NAME}", re.IGNORECASE)
_CATALOG = re.compile(rf"(?:DROP|ALTER)\s+CATALOG\s+(?:IF\s+EXISTS\s+)?{_NAME}", re.IGNORECASE)
_CHANGES = re.compile(
    rf"(?:(?:CREATE(?:\s+OR\s+(?:REPLACE|ALTER))?|DROP|ALTER)\s+(?P<kind>{_KIND})\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"
    rf"|TRUNCATE\s+TABLE\s+|ANALYZE\s+TABLE\s+|UPDATE\s+|DELETE\s+FROM\s+|CALL\s+){_NAME}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Statement:
    """A statement of a script."""

    text: str
    """Without comments; its blanks are single ones."""
    offset: int
    """Where it begins in the script."""
    line: int
    """The line on which it does, from 1 on."""
    after: int
    """Where the one before it ends, behind its semicolon; 0: it is the first."""


def statements(script: str) -> Iterator[Statement]:
    """All of them, in order. Semicolons within texts, names and comments end none."""
    parts: list[str] = []
    begin, after = -1, 0
    for found in _TOKEN.finditer(script):
        piece = found.group()
        if piece == ";":
            if begin >= 0:
                yield _made(script, parts, begin, after)
            parts, begin, after = [], -1, found.end()
        elif piece.startswith(("--", "/*")):
            parts.append(" ")
        else:
            if begin < 0 and piece.strip():
                begin = found.start() + len(piece) - len(piece.lstrip())
            parts.append(piece)
    if begin >= 0:
        yield _made(script, parts, begin, after)


def _made(script: str, parts: list[str], begin: int, after: int) -> Statement:
    return Statement(" ".join("".join(parts).split()), begin, script.count("\n", 0, begin) + 1, after)


def changes_outside(script: str) -> Statement | None:
    """The first statement that would change a catalog which outlives the job; None when there is none.

    A catalog that the script does not create is one that the configuration names, so it outlives the job, too.
    """
    current, memory, own = _SESSION, {_SESSION}, {_SESSION}
    for statement in statements(script):
        if (made := _CREATE_CATALOG.match(statement.text)) is not None:
            own.add(_parts(made["name"])[0])
            if _IN_MEMORY.search(statement.text):
                memory.add(_parts(made["name"])[0])
        elif (used := _USE.match(statement.text)) is not None:
            named = _parts(used["name"])  # of a catalog, or of a database in one
            current = named[0] if used["catalog"] or len(named) > 1 else current
        elif (changed := _CATALOG.match(statement.text)) is not None:
            if _parts(changed["name"])[0] not in own:
                return statement
        elif (found := _CHANGES.match(statement.text)) is not None:
            named = _parts(found["name"])
            qualified = len(named) - (1 if (found["kind"] or "").upper() == "DATABASE" else 2)
            if (named[0] if qualified > 0 else current) not in memory:
                return statement
    return None


def _parts(name: str) -> list[str]:
    """The parts of a name, without their quotes."""
    return [each.strip("`").replace("``", "`") for each in re.findall(_PART, name)]
