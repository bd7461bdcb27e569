"""References: every form is read, everything else is refused with the rule that it breaks."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_core.classic import CLASSICAL_SOLVERS
from solver_store.errors import InvalidReference
from solver_store.reference import (
    AliasReference,
    AutoReference,
    DigestReference,
    NameReference,
    VersionReference,
    check_free_name,
    parse_reference,
)

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,99}", fullmatch=True).filter("auto".__ne__)
references = st.one_of(
    st.just(AutoReference()),
    st.builds(NameReference, names),
    st.builds(AliasReference, names, st.from_regex(r"[a-z][a-z0-9._-]{0,31}", fullmatch=True)),
    st.builds(VersionReference, names, st.integers(1, 999_999_999)),
    st.builds(DigestReference, st.from_regex(r"[0-9a-f]{12,64}", fullmatch=True)),
)


@given(references)
def test_a_reference_survives_writing_and_reading(reference: object) -> None:
    assert parse_reference(str(reference)) == reference


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(InvalidReference):
        assert str(parse_reference(text)) == text


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("auto", AutoReference()),
        ("dpmpp-2m", NameReference("dpmpp-2m")),
        ("glyphs-g1.5-8", NameReference("glyphs-g1.5-8")),
        ("glyphs-g1.5-8@faithful", AliasReference("glyphs-g1.5-8", "faithful")),
        ("glyphs-g1.5-8/3", VersionReference("glyphs-g1.5-8", 3)),
        ("sha256:0123456789ab", DigestReference("0123456789ab")),
    ],
)
def test_each_form_means_what_it_says(text: str, reference: object) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "a solver name is 1 to 100"),
        ("Glyphs", "a solver name is 1 to 100"),
        ("glyphs\n", "a solver name is 1 to 100"),
        ("-glyphs", "starts with a letter or digit"),
        ("g" * 101, "got 'g{60}…'"),
        ("glyphs/0", "a whole number from 1"),
        ("glyphs/03", "a whole number from 1"),
        ("glyphs/٣", "a whole number from 1"),
        ("glyphs/1234567890", "a whole number from 1"),
        ("glyphs/1/2", "a whole number from 1"),
        ("glyphs@", "an alias is 1 to 32"),
        ("glyphs@3", "starts with a letter"),
        ("glyphs@champion/3", "an alias is 1 to 32"),
        ("@champion", "a solver name is"),
        ("sha256:0123456789a", "12 to 64 lower-case hexadecimal digits"),
        ("sha256:0123456789AB", "12 to 64 lower-case hexadecimal digits"),
        ("sha256:" + "0" * 65, "12 to 64 lower-case hexadecimal digits"),
        ("sha512:0123456789ab", "a solver name is"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_rule(text: str, rule: str) -> None:
    with pytest.raises(InvalidReference, match=rule):
        parse_reference(text)


def test_a_refusal_repeats_little_of_a_long_text() -> None:
    with pytest.raises(InvalidReference) as refused:
        parse_reference("glyphs@" + "\0" * 1_000_000)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("name", ["auto", "heun-lambda", "dit-xl-256", *CLASSICAL_SOLVERS])
def test_names_with_a_meaning_are_not_free(name: str) -> None:
    with pytest.raises(InvalidReference, match="is taken"):
        check_free_name(name)


@pytest.mark.parametrize("name", ["euler-2", "automatic", "ab5", "dit-xl-256-5", "my-euler"])
def test_names_beside_them_are_free(name: str) -> None:
    assert check_free_name(name) == name
