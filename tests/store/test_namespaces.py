"""The stored form of a namespace keeps the order and the meaning of its labels."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from waystation.store.namespaces import after, decode_namespace, encode_namespace, subtree_end

characters = st.one_of(
    st.sampled_from("\x01\x08\t\n\x0b\x1fAI -/"),
    st.characters(exclude_characters="\0.", exclude_categories=["Cs"]),
)
labels = st.text(characters, min_size=1, max_size=4)
namespaces = st.lists(labels, max_size=3).map(tuple)


@given(namespaces)
def test_round_trip(namespace: tuple[str, ...]) -> None:
    assert decode_namespace(encode_namespace(namespace)) == namespace


@given(namespaces, namespaces)
def test_the_text_sorts_like_the_labels(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (encode_namespace(one) < encode_namespace(other)) == (one < other)


@given(namespaces.filter(bool), namespaces)
def test_a_subtree_is_one_range(prefix: tuple[str, ...], namespace: tuple[str, ...]) -> None:
    start = encode_namespace(prefix)
    below = start <= encode_namespace(namespace) < subtree_end(start)
    assert below == (namespace[: len(prefix)] == prefix)
    assert start <= encode_namespace(prefix + namespace) < subtree_end(start)


@given(namespaces, namespaces)
def test_after_leaves_out_exactly_what_came_before(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (encode_namespace(other) >= after(encode_namespace(one))) == (other > one)
