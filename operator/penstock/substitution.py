"""What `$` before a `{` means in scripts and arguments: the one grammar. Pure, with the standard library only.

The `$` directly before a `{` are read in pairs, and each pair means one `$`. One that is left over belongs to the `{`:
`${secret:name/key}` stands for a key of a Secret, `${penstock.…}` for a constant of the run, and any other `${` means
itself. So `$${` means `${`, and whoever doubles each `$` before a `{` gets the text as it was. No other `$` is special.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

VARIABLE = "PENSTOCK_SECRET_"
"""How the environment variables begin that bring the values into a pod."""

_LONGEST = 253  # of a Secret's name, and of a key
_DOLLARS = re.compile(
    r"(?<!\$)(?=\$)(?P<pairs>(?:\$\$)*)"
    rf"(?:(?P<words>\$\{{(?:penstock\.[^}}\s]{{0,60}}|secret:[^}}\s]{{0,{2 * _LONGEST + 1}}})\}}?)|(?P<brace>\$?\{{))"
)
# A DNS-1123 subdomain, and what Kubernetes takes for a key: neither `.` nor anything that begins with `..`.
_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SECRET = re.compile(
    rf"\$\{{secret:(?P<name>{_LABEL}(?:\.{_LABEL})*)/(?P<key>(?!\.\.|\.\}})[-._a-zA-Z0-9]{{1,{_LONGEST}}})\}}"
)


@dataclass(frozen=True)
class SecretKey:
    """A key of a Secret in the job's namespace."""

    name: str
    key: str


@dataclass(frozen=True)
class Placeholder:
    """`${secret:…}` or `${penstock.…}` as somebody wrote it, perhaps wrongly."""

    words: str
    offset: int
    """Where its `$` stands in the text."""

    @property
    def is_reserved(self) -> bool:
        """Whether it is one of Penstock's own."""
        return self.words.startswith("${penstock.")

    @property
    def constant(self) -> str | None:
        """The name of the constant that it stands for, `penstock.…`, be there one or not; None when it is no such."""
        return self.words[2:-1] if self.is_reserved and self.words.endswith("}") else None

    @property
    def secret(self) -> SecretKey | None:
        """What it stands for; None when it is reserved, or names nothing that can exist."""
        found = _SECRET.fullmatch(self.words)
        if found is None or len(found["name"]) > _LONGEST:
            return None
        return SecretKey(found["name"], found["key"])


def parts(text: str) -> Iterator[str | Placeholder]:
    """The text in its parts, in order: plain ones as they are meant, with no `$` too many, and placeholders."""
    end = 0
    for found in _DOLLARS.finditer(text):
        yield text[end : found.start()] + "$" * (len(found["pairs"]) // 2)
        yield found["brace"] or Placeholder(found["words"], found.start("words"))
        end = found.end()
    yield text[end:]


def with_constants(text: str, values: Mapping[str, str]) -> str:
    """The text as it is written, but with the value of each `${penstock.…}` that has one.

    All else stays as it is written, for `substitute` to read. A value must neither begin with `{` nor hold a `$`.
    """

    def replaced(found: re.Match[str]) -> str:
        value = values.get(Placeholder(found["words"] or "", 0).constant or "")
        # The pairs before it are read here: with the `{` gone, nobody would take them for pairs any more.
        return found.group() if value is None else "$" * (len(found["pairs"]) // 2) + value

    return _DOLLARS.sub(replaced, text)


def substitute(text: str, value: Callable[[SecretKey], str], plain: Callable[[str], str] = str) -> str:
    """The text as it is meant, with the value of each key; `plain` is applied to what lies between.

    A placeholder that stands for nothing is left as it is written: `api.validation` refuses it before.
    """
    made = []
    for part in parts(text):
        if isinstance(part, Placeholder):
            made.append(plain(part.words) if part.secret is None else value(part.secret))
        else:
            made.append(plain(part))
    return "".join(made)


def is_plain(text: str) -> bool:
    """Whether the text means itself: it has neither a placeholder of a Secret nor an escaped `${`."""
    return substitute(text, lambda _: "") == text


def variables(*texts: str) -> dict[SecretKey, str]:
    """The name of the environment variable for each key that the texts name, in the order of their first places."""
    placeholders = (part for text in texts for part in parts(text) if isinstance(part, Placeholder))
    keys = dict.fromkeys(each.secret for each in placeholders if each.secret is not None)
    return {key: f"{VARIABLE}{number}" for number, key in enumerate(keys)}
