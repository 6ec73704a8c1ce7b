"""The report, made by Meltano's command from models on DuckDB and PostgreSQL, and opened in a real browser."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import pytest

from tests.support import figures
from tests.support.browser import Page, browser
from tests.support.models import BAD_NUMBER, GB, SCRIPT, WAREHOUSES, Space

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SECTIONS = ("delivery", "errors", "numbers", "countries", "spend", "time", "waiting")
WIDTHS = (1200, 390)


class Made:
    """The reports of both warehouses."""

    def __init__(self, space: Space) -> None:
        self.pipeline = space.pipeline
        self.messages = space.messages
        self.others = space.others
        self.texts: dict[str, str] = {}

    def file(self, warehouse: str) -> Path:
        """The HTML file of a warehouse."""
        return self.pipeline.folder / "output" / f"{warehouse}.html"

    @property
    def picture(self) -> Path:
        """The SVG."""
        return self.pipeline.folder / "output" / "report.svg"

    def rows(self, warehouse: str, section: str) -> list[list[str]]:
        """Cells of a section's table."""
        text = self.texts[warehouse].partition(f'<section id="{section}"')[2].partition("</section>")[0]
        body = text.partition("<tbody>")[2]
        return [
            [html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)]
            for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
        ]


@pytest.fixture(scope="module")
def made(space: Space) -> Made:
    made = Made(space)
    for warehouse in WAREHOUSES:
        arguments = ("--output", str(made.file(warehouse)), "--note", SCRIPT, "--svg", str(made.picture))
        variables = {"TARGET_POSTGRES_SQLALCHEMY_URL": space.url, "SIGNALWIRE_NOW": space.second_run.isoformat()}
        made.pipeline.meltano("invoke", f"dbt-{warehouse}:report", *arguments, **variables)
        made.texts[warehouse] = made.file(warehouse).read_text("utf-8")
    return made


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.mark.parametrize("warehouse", WAREHOUSES)
def test_the_tables_behind_the_charts_hold_the_space_s_figures(warehouse: str, made: Made) -> None:
    expected = figures.daily_delivery(made.messages.values())
    rows = made.rows(warehouse, "delivery")
    assert {(row[0], row[1]): tuple(row[2:7]) for row in rows} == {
        (str(day), kind): tuple(str(count) for count in found[1:6]) for (day, kind), found in expected.items()
    }
    codes = figures.error_code_overview(made.messages.values())
    assert {row[0]: int(row[2]) for row in made.rows(warehouse, "errors")} == {
        code: count for code, (count, _) in codes.items()
    }
    first = min(day for day, _ in expected)
    families = {"message_logs": made.messages, **made.others}
    spend = figures.spend({family: records.values() for family, records in families.items()})
    spent = sum(dollars for (day, *_), (dollars,) in spend.items() if day >= first)
    assert f"<dd>${spent:,.2f}</dd>" in made.texts[warehouse]
    waiting = [one for one in made.messages.values() if figures.is_outbound(one) and figures.outcome(one) == "pending"]
    assert f"<dd>{len(waiting):,}</dd><dt>waiting now</dt>" in made.texts[warehouse]


def test_both_warehouses_make_the_same_report(made: Made) -> None:
    assert made.texts["duckdb"] == made.texts["postgres"]


def test_the_titles_say_what_was_found(made: Made) -> None:
    titles = dict(re.findall(r'<section id="(\w+)".*?<h2>(.*?)</h2>', made.texts["duckdb"], re.DOTALL))
    assert tuple(titles) == SECTIONS
    assert "fell to" in titles["delivery"]
    assert titles["errors"].startswith("Filtered by the carrier: ")
    assert titles["numbers"] == "One number is clearly worse: +1•••9999 delivers 0%"


def test_phone_numbers_are_masked_unless_asked_for(made: Made) -> None:
    text = made.texts["duckdb"]
    page_itself = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    told = {number for one in made.messages.values() for number in (one["from"], one["to"]) if number}
    numbers = {number for number in told if "+" in number or "sip:" in number}
    assert "A text to ••• was refused" in page_itself
    assert [number for number in numbers if number in page_itself or number[1:] in page_itself] == []
    made.pipeline.meltano("invoke", "dbt-duckdb:report", "--output", "output/shown.html", "--show-numbers")
    shown = (made.pipeline.folder / "output" / "shown.html").read_text("utf-8")
    assert BAD_NUMBER in shown
    assert f"A text to {GB} was refused" in shown


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_draws_every_chart_says_nothing_and_asks_nobody(
    dark: bool, width: int, made: Made, page: Page, tmp_path: Path
) -> None:
    file = made.file("duckdb")
    page.said.clear()
    page.asked.clear()
    page.open(file.as_uri(), width=width, dark=dark)
    assert page.said == []
    assert set(page.asked) <= {file.as_uri(), "about:blank", "data:,"}
    assert page.value("document.title") == "Messages"
    charts = page.value(
        "[...document.querySelectorAll('.chart')].map(one => [one.parentElement.id,"
        " one.querySelector('svg').getBoundingClientRect().width, one.querySelectorAll('svg path').length])"
    )
    assert {section for section, _, _ in charts} == set(SECTIONS)
    assert all(200 < drawn <= width and marks > 1 for _, drawn, marks in charts)
    assert page.value("document.documentElement.scrollWidth") <= width, "nothing is wider than the screen"
    background = page.value("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")
    # Text can be read on it: the contrast that WCAG asks for.
    for selector in ("h2", "p", "summary", ".chart svg text"):
        found = page.value(
            f"(() => {{ const one = document.querySelector('{selector}'), style = getComputedStyle(one);"
            " return one instanceof SVGElement ? style.fill : style.color; })()"
        )
        assert _contrast(found, background) >= 4.5, selector
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000


def test_the_browser_s_theme_may_change_while_the_page_is_open(made: Made, page: Page) -> None:
    page.open(made.file("duckdb").as_uri(), width=1200, dark=False)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    page.wait_for_theme("dark")


def test_without_models_it_says_what_to_do(made: Made) -> None:
    with pytest.raises(RuntimeError, match="report: no models in the schema nothing; run `build` first"):
        made.pipeline.meltano("invoke", "dbt-duckdb:report", DBT_DUCKDB_SCHEMA="nothing")


def test_the_picture_is_an_svg_that_says_what_it_is_of(made: Made) -> None:
    picture = made.picture.read_text("utf-8")
    assert picture.startswith("<svg")
    assert "Filtered by the carrier" in picture
    assert "</script>" not in picture
    assert "http" not in picture.replace("http://www.w3.org/", "")


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
