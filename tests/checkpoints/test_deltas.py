"""Chains of differences: every version is read back, and neither space nor paths get out of hand."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from waystation.storage.checkpoints.compression import Compression, dictionary_digest
from waystation.storage.checkpoints.deltas import Body, Tip, full_copy, next_tip, read_path


class Chain:
    """Stores versions as the database would, and reads them back by following the bases."""

    def __init__(self) -> None:
        self.compression = Compression()
        self.rows: dict[int, tuple[int | None, bytes]] = {}
        self.tip: Tip | None = None

    def add(self, data: bytes, kind: int = 1, count: int = 0) -> None:
        version = len(self.rows)
        base, stored, self.tip = next_tip(version, Body(kind, count, data), self.tip, self.compression)
        self.rows[version] = base, stored

    def path(self, version: int) -> list[tuple[int, bytes]]:
        path: list[tuple[int, bytes]] = []
        at: int | None = version
        while at is not None:
            base, stored = self.rows[at]
            path.append((at, stored))
            at = base
        return path[::-1]

    def read(self, version: int) -> Tip:
        return read_path(self.path(version), self.compression)

    @property
    def size(self) -> int:
        return sum(len(stored) for _, stored in self.rows.values())


def prose(source: random.Random, size: int) -> bytes:
    return " ".join(
        f"{source.choice('bcdfglmnprst')}{source.choice('aeiou')}{source.randrange(400)}" for _ in range(size)
    ).encode()


def appended(data: bytes, source: random.Random) -> bytes:
    return data + prose(source, 20)


def window(data: bytes, source: random.Random) -> bytes:
    return (data + prose(source, 20))[-2000:]


def edited(data: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(data) + 1)
    return data[:at] + prose(source, source.randrange(1, 9)) + data[at + source.randrange(60) :]


def truncated(data: bytes, source: random.Random) -> bytes:
    return data[: source.randrange(len(data) + 1)] + prose(source, 15)


def replaced(data: bytes, source: random.Random) -> bytes:
    return prose(source, source.randrange(1, 300))


def unchanged(data: bytes, source: random.Random) -> bytes:
    return data


def emptied(data: bytes, source: random.Random) -> bytes:
    return b"" if source.random() < 0.3 else data + prose(source, 50)


def anything(data: bytes, source: random.Random) -> bytes:
    return source.choice(CHANGES[:-1])(data, source)


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    appended,
    window,
    edited,
    truncated,
    replaced,
    unchanged,
    emptied,
    anything,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_version_is_read_back(change: Callable[[bytes, random.Random], bytes]) -> None:
    source, chain, versions = random.Random(5), Chain(), []
    data = prose(source, 100)
    for count in range(300):
        data = change(data, source)
        versions.append(data)
        chain.add(data, kind=count % 4, count=count)

    for version, expected in enumerate(versions):
        assert chain.read(version).body == Body(version % 4, version, expected)


def test_chain_goes_on_from_what_was_read() -> None:
    source, chain = random.Random(6), Chain()
    data = b""
    for version in range(400):
        data = appended(data, source)
        chain.add(data)
        read = chain.read(version)
        assert read == chain.tip
        chain.tip = read


def test_one_difference_can_be_applied_to_a_version_in_memory() -> None:
    source, chain = random.Random(7), Chain()
    data = prose(source, 200)
    for _ in range(200):
        data = edited(data, source)
        chain.add(data)

    for version, (base, stored) in chain.rows.items():
        if base is not None:
            near = read_path([(version, stored)], chain.compression, chain.read(base))
            assert near == chain.read(version)


def test_growing_value_takes_space_in_proportion() -> None:
    source, chain, sizes = random.Random(8), Chain(), {}
    data = b""
    for version in range(3000):
        data = appended(data, source)
        chain.add(data)
        sizes[version + 1] = chain.size

    assert sizes[3000] < 5 * len(full_copy(Body(1, 0, data), chain.compression))
    assert sizes[3000] < 3.5 * sizes[1000]


def test_paths_stay_short_however_long_the_history() -> None:
    source, chain = random.Random(9), Chain()
    data = b""
    for _ in range(3000):
        data = appended(data, source)
        chain.add(data)

    assert max(len(chain.path(version)) for version in range(2900, 3000)) <= 64 + 3000 // 64


def test_window_over_a_conversation_takes_little_more_than_what_is_added() -> None:
    source, chain = random.Random(10), Chain()
    data, added = b"", 0
    for _ in range(500):
        grown = window(data, source)
        added += len(full_copy(Body(1, 0, grown[-120:]), chain.compression))
        data = grown
        chain.add(data)

    assert chain.size < 3 * added


def test_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="newer version"):
        read_path([(1, b"\x70\x01\x00abc")], Compression())


def test_dictionary_of_stored_data_never_changes() -> None:
    assert dictionary_digest() == "62c08e22fc561e05"
