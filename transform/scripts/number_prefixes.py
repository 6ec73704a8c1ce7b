"""Writes the seed `number_prefixes`: country and kind of a phone number by its longest known prefix.

The numbering plans are those of the library `phonenumbers`. Where a calling code has one country, its row is the code
alone; else, and for toll-free ranges, there is a row for each prefix that decides. A prefix decides where every number
that begins with it is of one country and kind: the plans' patterns are asked for partial matches, none is sampled.

    uv run transform/scripts/number_prefixes.py transform/seeds/number_prefixes.csv
"""

# /// script
# requires-python = ">=3.10"
# dependencies = ["phonenumbers==9.0.43", "regex~=2026.1"]
# ///

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import phonenumbers
import regex
from phonenumbers.phonemetadata import PhoneMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DIGITS = 5
"""Digits behind a calling code that decide on a toll-free range."""

MAX_DIGITS_SHARED = 7
"""The same where several countries share the code: the islands beside Britain have ranges of that length."""

DESCRIBED = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager"),
    *("uan", "voicemail"),
)

TOLL_FREE, GEOGRAPHIC = "toll_free", "geographic"
WORLD_S_TOLL_FREE = 800

# What answers for the whole world, such as +800: no country.
WORLD = "001"


class Label(NamedTuple):
    """What a prefix decides."""

    country: str
    kind: str


def main() -> None:
    """Write the file that the first argument names, of the calling codes that follow or of all."""
    file_name, *codes = sys.argv[1:]
    with Path(file_name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["prefix", "country", "line_kind"])
        for code in map(int, codes) if codes else sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE, key=str):
            writer.writerows(rows(code))


def rows(code: int) -> Iterator[tuple[str, str, str]]:
    """Rows of one calling code: the code alone, then each prefix that differs from the prefix around it."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
    kind = TOLL_FREE if code == WORLD_S_TOLL_FREE else GEOGRAPHIC
    usual = Label("" if regions[0] == WORLD else regions[0], kind)
    yield str(code), *usual
    depth = MAX_DIGITS_SHARED if len(regions) > 1 else MAX_DIGITS
    for prefix, label in _differences(_walk("", list(_patterns(code)), depth), usual):
        yield f"{code}{prefix}", *label


class Pattern(NamedTuple):
    """Numbers of one country and kind: the national digits, and what they begin with, where that is said apart."""

    label: Label
    digits: regex.Pattern[str]
    leading: regex.Pattern[str] | None

    def may_begin_with(self, prefix: str) -> bool:
        """Whether some number of this pattern begins with these national digits."""
        leads = self.leading is None or self.leading.match(prefix) or self.leading.fullmatch(prefix, partial=True)
        return bool(leads and self.digits.fullmatch(prefix, partial=True))


class Node(NamedTuple):
    """National digits: the label where they decide, else what begins with them."""

    prefix: str
    label: Label | None
    children: list[Node]


def _walk(prefix: str, patterns: list[Pattern], depth: int) -> Node | None:
    patterns = [pattern for pattern in patterns if pattern.may_begin_with(prefix)]
    labels = _in_order(patterns)
    if not labels:
        return None
    if len(labels) == 1 or len(prefix) == depth:
        return Node(prefix, labels[0], [])
    children = [child for digit in "0123456789" if (child := _walk(prefix + digit, patterns, depth))]
    decided = {child.label for child in children}
    if len(decided) == 1 and None not in decided:
        return Node(prefix, decided.pop(), [])
    return Node(prefix, None, children)


def _in_order(patterns: list[Pattern]) -> list[Label]:
    """Labels in the order of the library's countries, whose first is the main one; at the end toll-free.

    A toll-free number that many countries share belongs, as in the library, to the first of them.
    """
    labels = list(dict.fromkeys(pattern.label for pattern in patterns))
    free = [label for label in labels if label.kind == TOLL_FREE][:1]
    return [label for label in labels if label.kind != TOLL_FREE] + free


def _differences(node: Node | None, around: Label) -> Iterator[tuple[str, Label]]:
    """Prefixes whose label differs from that of the prefix around them."""
    if node is None or node.label == around:
        return
    if node.label:
        yield node.prefix, node.label
        return
    countries = {country for child in node.children for country in _countries(child)}
    if len(countries) == 1 and around.country not in countries:
        around = Label(countries.pop(), GEOGRAPHIC)
        yield node.prefix, around
    for child in node.children:
        yield from _differences(child, around)


def _countries(node: Node) -> set[str]:
    if node.label:
        return {node.label.country}
    return {country for child in node.children for country in _countries(child)}


def _patterns(code: int) -> Iterator[Pattern]:
    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]:
        world = region == WORLD
        metadata = (
            PhoneMetadata.metadata_for_nongeo_region(code) if world else PhoneMetadata.metadata_for_region(region)
        )
        leading = regex.compile(metadata.leading_digits) if metadata.leading_digits else None
        for name in DESCRIBED:
            described = getattr(metadata, name)
            if described and described.national_number_pattern:
                kind = TOLL_FREE if name == TOLL_FREE else GEOGRAPHIC
                label = Label("" if world else region, kind)
                yield Pattern(label, regex.compile(described.national_number_pattern), leading)


if __name__ == "__main__":
    main()
