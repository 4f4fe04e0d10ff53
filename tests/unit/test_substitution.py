"""The grammar of `${…}`: what is a placeholder, what is escaped, and that everything else stays as it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.substitution import Placeholder, SecretKey, is_plain, parts, substitute, variables, with_constants

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


# ---------------------------------------------------------------- constants

CONSTANTS = {"penstock.a": "1 000", "penstock.b.c-d": "x"}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("'${penstock.a}'", "'1 000'"),
        ("${penstock.a}${penstock.b.c-d}", "1 000x"),
        ("$$${penstock.a}", "$1 000"),
        ("$$$$${penstock.a}", "$$1 000"),
        ("$${penstock.a}", "$${penstock.a}"),
        ("$$$${penstock.a}", "$$$${penstock.a}"),
        ("${penstock.a}{", "1 000{"),
        ("${penstock.unknown}", "${penstock.unknown}"),
        ("${penstock.a", "${penstock.a"),
        ("${penstock.ax", "${penstock.ax"),
        ("${penstock.a }", "${penstock.a }"),
        ("$$${secret:db/password} $${x} $$ ${penstock.a}", "$$${secret:db/password} $${x} $$ 1 000"),
        ("", ""),
    ],
)
def test_constants_are_put_in_and_all_else_stays_as_it_is_written(text, written):
    assert with_constants(text, CONSTANTS) == written


both = ["${penstock.a}", "${penstock.b.c-d}", "${penstock.x}", "${secret:db/password}", "$", "$$", "${", "{", "}", "a"]


@given(st.lists(st.sampled_from(both), max_size=12).map("".join))
@example("$" * 5 + "{penstock.a}{secret:db/password}")
@settings(max_examples=500, deadline=None, derandomize=True)
def test_a_text_in_two_steps_means_what_it_means_in_one(text):
    meant = ""
    for part in parts(text):
        if isinstance(part, Placeholder):
            meant += "<>" if part.secret else CONSTANTS.get(part.constant or "", part.words)
        else:
            meant += part
    assert substitute(with_constants(text, CONSTANTS), lambda _: "<>") == meant


def test_a_huge_text_of_constants_is_read_quickly():
    assert with_constants("${penstock." * 20_000, CONSTANTS) == "${penstock." * 20_000
    assert with_constants("$" * 262_144 + "{", CONSTANTS).endswith("{")
