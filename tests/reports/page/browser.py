"""The page in a real browser: sizes, axe-core, every control by keyboard. `make browser` runs it.

    python tests/reports/page/browser.py QUICK.html LARGE.html [FOLDER FOR SCREENSHOTS]

In an environment of its own with playwright and axe-playwright-python; Chromium is the system's. A line for each view
says what was measured; the status is 1 where a bound is not kept.
"""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ASKS = Path(__file__).with_suffix(".js").read_text()
HEIGHTS = {1400: 1500, 390: 2500}
FIRST = 900
"""Points from the top in which verdict and picture stand; on a phone the picture begins there."""
MOST_BYTES = {"quick": 2_500_000, "large": 5_000_000}
MOST_SECONDS = 1.0
SCREENS = ("front", "track")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def opened(browser: Browser, url: str, width: int, theme: Any, problems: list[str]) -> Page:
    page = browser.new_page(viewport={"width": width, "height": FIRST}, color_scheme=theme)
    page.on("pageerror", lambda error: problems.append(f"{url}: {error}"))
    page.on("request", lambda request: request.url.startswith("http") and problems.append(f"fetched {request.url}"))
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    page.add_script_tag(content=ASKS)
    return page


def look(page: Page, name: str, width: int, theme: str) -> Iterator[str]:
    """What is wrong with a view; says what was measured."""
    found = page.evaluate("measures()")
    place = f"{name} {width} {theme}"
    violations = Axe().run(page).response["violations"]
    serious = [one for one in violations if one["impact"] in ("serious", "critical")]
    picture = f"picture {found['top']:.0f} to {found['bottom']:.0f}"
    say(f"{place}: {found['height']} px, verdict to {found['verdict']:.0f}, {picture}, axe serious {len(serious)}")
    for one in serious:
        yield f"{place}: axe {one['id']} x {len(one['nodes'])}: {one['nodes'][0]['html'][:150]}"
    if found["height"] > HEIGHTS[width]:
        yield f"{place}: {found['height']} px tall"
    if found["width"] > width:
        yield f"{place}: {found['width']} px wide"
    if name in SCREENS:
        yield from (f"{place}: overprinted {one}" for one in page.evaluate("overprinted()"))
        if max(found["verdict"], found["bottom" if width > 1000 else "top"]) > FIRST:
            yield f"{place}: verdict or picture below {FIRST} px"


def by_keyboard(page: Page, name: str) -> Iterator[str]:
    """Controls that the tab key does not reach."""
    number = page.evaluate("controls()")
    reached: set[str] = set()
    # Rows of a table that scrolls come into view, and are controls, while one goes on.
    for _ in range(3 * number + 100):
        page.keyboard.press("Tab")
        place = page.evaluate("document.activeElement?.getAttribute('data-control')")
        if place is not None:
            reached.add(place)
        if len(reached) == number:
            break
    say(f"{name}: {len(reached)} of {number} controls reached by keyboard")
    if len(reached) < number:
        yield f"{name}: not reached {page.evaluate('unreached', sorted(reached))[:5]}"


def press(page: Page, selector: str, key: str = "Enter", number: int = 0) -> None:
    page.locator(selector).nth(number).focus()
    page.keyboard.press(key)


def in_address(page: Page, part: str) -> None:
    page.wait_for_function(f"location.hash.includes({part!r})", timeout=5000)


def use_the_table(page: Page) -> Iterator[str]:
    """Sort, unfold, filter and choose axes with keys alone; the address follows."""
    rows = page.locator(".tabulator-row").count()
    name = page.locator("button.row").first.inner_text()
    press(page, "button.sort")
    in_address(page, "sort=name")
    columns = page.locator(".tabulator-col:visible").count()
    press(page, ".groups button")
    in_address(page, "groups=")
    if page.locator(".tabulator-col:visible").count() <= columns:
        yield "the key unfolds no column"
    page.locator("#filter").focus()
    page.keyboard.type(name.split()[0])
    in_address(page, "filter=")
    if not 0 < page.locator(".tabulator-row").count() < rows:
        yield f"the filter leaves {page.locator('.tabulator-row').count()} of {rows} rows"
    press(page, "#x", "ArrowDown")
    in_address(page, "x=")
    press(page, "#log", "Space")
    in_address(page, "log=on")
    say("sorted, unfolded, filtered, other axes: by keys, and in the address")


def use_the_drawer(page: Page) -> Iterator[str]:
    """Open a row, compare two picked ones, come back to the same address."""
    press(page, "button.row")
    page.wait_for_selector("dialog[open]")
    if "sparsebench verify" not in page.locator("#drawer-body").inner_text():
        yield "the drawer of a row names no command"
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    for number in (0, 1):
        press(page, ".tabulator-row input[type=checkbox]", "Space", number)
    press(page, "#compare")
    page.wait_for_selector("dialog[open]")
    in_address(page, "pair=")
    title = page.locator("#drawer-title").inner_text()
    if " − " not in title or "difference [95 %]" not in page.locator("#drawer-body").inner_text():
        yield f"two picked rows open {title!r}"
    page.reload()
    page.wait_for_selector("dialog[open]")
    if page.locator("#drawer-title").inner_text() != title:
        yield "the address does not bring the pair back"
    say(f"opened, closed and compared by keys: {title}")


def seconds(browser: Browser, url: str) -> tuple[float, float]:
    """Until the screen is there: of the page's thread on the processor, and on the clock, which other work slows."""
    page = browser.new_page(viewport={"width": 1400, "height": FIRST})
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    clock = float(page.evaluate("document.body.dataset.ready")) / 1000
    page.close()
    return metrics["TaskDuration"], clock


def weight(browser: Browser, name: str, path: Path, problems: list[str]) -> Iterator[str]:
    """Bytes, and the best of five times until a screen is there: the front, and a track."""
    size = path.stat().st_size
    rows = opened(browser, path.as_uri(), 1400, "light", problems).evaluate("mostRows()")
    say(f"{name}: {size / 1e6:.2f} MB, up to {rows:,} rows")
    if size > MOST_BYTES[name]:
        yield f"{name}: {size:,} bytes"
    for screen, place in (("front", ""), ("track", "track=vtab.1")):
        taken = [seconds(browser, f"{path.as_uri()}#{place}") for _ in range(5)]
        busy, clock = (min(found) for found in zip(*taken, strict=True))
        say(f"{name}, {screen}: {busy:.2f} s of its thread, {clock:.2f} s on the clock")
        if busy > MOST_SECONDS:
            yield f"{name}, {screen}: {busy:.2f} s"


def main(quick: Path, large: Path, shots: Path | None) -> int:
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        url = quick.resolve().as_uri()
        places = opened(browser, url, 1400, "light", problems).evaluate("addresses()")
        for (name, place), width, theme in product(places.items(), HEIGHTS, ("light", "dark")):
            page = opened(browser, f"{url}#{place}", width, theme, problems)
            problems += look(page, name, width, theme)
            if shots is not None:
                page.screenshot(path=shots / f"{name}-{width}-{theme}.png", full_page=name in SCREENS)
            if theme == "light":
                problems += by_keyboard(page, f"{name} {width}")
            page.close()
        for use in (use_the_table, use_the_drawer):
            problems += use(opened(browser, f"{url}#{places['track']}", 1400, "light", problems))
        for name, path in (("quick", quick), ("large", large)):
            problems += weight(browser, name, path.resolve(), problems)
        browser.close()
    say("\n".join(problems) or "all bounds are kept")
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None))
