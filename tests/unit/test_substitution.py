"""The grammar of `${…}`: what is a placeholder, what is escaped, and that everything else stays as it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.substitution import Placeholder, SecretKey, is_plain, parts, substitute, variables

PASSWORD = SecretKey("db", "password")
FAST = settings(max_examples=300, deadline=None, derandomize=True)

# Texts in which dollars, braces and placeholders meet often.
pieces = st.sampled_from(
    ["$", "$$", "{", "}", "${", "$${", "${secret:db/password}", "${secret:", "${penstock.x}", "a", "'", "\n", "é", "🙂"]
)
texts = st.one_of(st.text(max_size=40), st.lists(pieces, max_size=12).map("".join))
names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,5}[a-z0-9])?(\.[a-z0-9]{1,3})?", fullmatch=True)
keys = st.from_regex(r"[-_a-zA-Z0-9][-._a-zA-Z0-9]{0,8}", fullmatch=True)


def escape(text: str) -> str:
    """What a user writes to mean the text itself: each `$` before a `{` twice."""
    return re.sub(r"(?<!\$)\$+(?=\{)", lambda dollars: 2 * dollars.group(), text)


def named(text: str) -> list[SecretKey | None]:
    return [part.secret for part in parts(text) if isinstance(part, Placeholder)]


def shown(text: str) -> str:
    return substitute(text, lambda secret: f"<{secret.name}/{secret.key}>")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("'${secret:db/password}'", "'<db/password>'"),
        ("$${secret:db/password}", "${secret:db/password}"),
        ("$$${secret:db/password}", "$<db/password>"),
        ("$$$${secret:db/password}", "$${secret:db/password}"),
        ("${secret:a/b}${secret:a/b}", "<a/b><a/b>"),
        ("${other}", "${other}"),
        ("$${other}", "${other}"),
        ("$$${other}", "$${other}"),
        ("$$ $a {b} $", "$$ $a {b} $"),
        ("a$", "a$"),
        ("", ""),
        ("${penstock.x}", "${penstock.x}"),
        ("${secret:db}", "${secret:db}"),
    ],
)
def test_what_a_text_means(text, meant):
    assert shown(text) == meant


@given(texts)
@example("$" * 5 + "{secret:db/password}")
@FAST
def test_an_escaped_text_means_the_text(text):
    assert substitute(escape(text), lambda _: "never") == text
    assert named(escape(text)) == []


@given(texts, names, keys, texts, st.text(max_size=10))
@FAST
def test_a_placeholder_becomes_its_value_and_nothing_else_changes(before, name, key, after, value):
    # A `$` that ends the text before it would belong to the placeholder.
    before = escape(before) + ("." if before.endswith("$") else "")
    text = f"{before}${{secret:{name}/{key}}}{escape(after)}"
    assert substitute(text, lambda _: value) == substitute(before, str) + value + after
    assert [each for each in named(text) if each] == [SecretKey(name, key)]


@given(texts)
@FAST
def test_a_value_is_not_read_again(text):
    assert substitute("${secret:db/password}", lambda _: text) == text


@given(texts)
@FAST
def test_a_text_without_a_dollar_before_a_brace_is_plain(text):
    text = text.replace("${", "$ {")
    assert is_plain(text)
    assert shown(text) == text


@given(texts)
@FAST
def test_only_what_is_plain_means_itself(text):
    secrets = any(named(text))
    assert is_plain(text) is (not secrets and shown(text) == text)
    if not secrets and "$${" not in text:
        assert is_plain(text)


@given(texts)
@FAST
def test_a_placeholder_stands_where_it_says(text):
    placeholders = [part for part in parts(text) if isinstance(part, Placeholder)]
    assert all(text.startswith(each.words, each.offset) for each in placeholders)
    assert len(placeholders) <= text.count("${secret:") + text.count("${penstock.")


@pytest.mark.parametrize(
    "words",
    [
        "${secret:}",
        "${secret:db}",
        "${secret:/key}",
        "${secret:db/}",
        "${secret:UP/key}",
        "${secret:-a/key}",
        "${secret:a..b/key}",
        "${secret:a/b/c}",
        "${secret:a/b",
        "${secret:a/.}",
        "${secret:a/..}",
        "${secret:a/..b}",
        "${secret:" + "a" * 254 + "/key}",
        "${secret:a/" + "k" * 254 + "}",
    ],
)
def test_what_no_secret_can_be_called(words):
    assert named(words) == [None]


@pytest.mark.parametrize(
    ("name", "key"), [("a", ".b"), ("a.b-c", "tls.crt"), ("0", "_"), ("a" * 253, "k" * 253), ("a", "b..")]
)
def test_what_a_secret_may_be_called(name, key):
    assert named(f"${{secret:{name}/{key}}}") == [SecretKey(name, key)]


def test_each_key_has_one_variable_in_the_order_of_their_places():
    found = variables("${secret:b/x} $${secret:no/no}", "${secret:a/y} ${secret:b/x} ${secret:typo}")
    assert found == {SecretKey("b", "x"): "PENSTOCK_SECRET_0", SecretKey("a", "y"): "PENSTOCK_SECRET_1"}


def test_a_text_of_dollars_is_read_quickly():
    assert is_plain("$" * 262_144)
    assert len(list(parts("${secret:" * 30_000))) > 0
