"""Names from the open endpoint on the dashboard: text, whatever they hold and however long."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard_page import (
    Opener,
    Watch,
    address,
    events,
    send,
)
from tests.support.gimel_local import LocalBackend

PAYLOADS = (
    "<script>hit()</script>",
    "<img src=x onerror=hit()>",
    "<svg onload=hit()>",
    "<svg><script>hit()</script></svg>",
    "</script><script>hit()</script>",
    "</style><script>hit()</script>",
    "<iframe srcdoc='<script>parent.hit()</script>'>",
    "<a href=javascript:hit()>click</a>",
    "javascript:hit()",
    '"><img src=x onerror=hit()>',
    "' autofocus onfocus=hit() x='",
    '" onmouseover=hit() style=position:fixed;inset:0 "',
    "{{constructor.constructor('hit()')()}}",
    "${hit()}",
    "`-hit()-`",
    "<details open ontoggle=hit()>",
    "<math><mtext><table><mglyph><style><img src=x onerror=hit()>",
    "<noscript><p title='</noscript><img src=x onerror=hit()>'>",
    "&lt;img src=x onerror=hit()&gt;",
    "<base href=//127.0.0.2/><link rel=stylesheet href=//127.0.0.2/x>",
)


HIT = "window.hits = 0; window.hit = () => { window.hits++; };"


LONG = ("W" * 256, "👩🏽‍🚀" * 64)


def sizes(page: Page) -> tuple[int, int]:
    """How wide the content is, and the window."""
    width: list[int] = page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    return width[0], width[1]


def test_markup_in_names_is_text(shared: LocalBackend, visit: Opener) -> None:
    namespace = PAYLOADS[1]
    for number, payload in enumerate(PAYLOADS):
        other = PAYLOADS[number - 1]
        arms = {payload: (60, {payload: 20, other: 10}), other: (60, {payload: 5})}
        send(shared.url, events(namespace, payload, arms))
    page = visit(shared.url, {"namespace": namespace}, script=HIT)
    cells = page.locator(".list tbody th bdi")
    expect(cells).to_have_count(len(PAYLOADS))
    assert set(cells.all_text_contents()) == set(PAYLOADS)
    for payload in PAYLOADS:
        page.goto(address(shared.url, namespace=namespace, experiment=payload, goal=payload))
        expect(page.get_by_role("heading", level=1)).to_have_text(payload)
        expect(page.locator("#goal")).to_have_text(payload)
        labels = page.locator(".results tbody th .name").all_text_contents()
        assert payload in labels
    for payload in PAYLOADS[:4]:
        page.goto(address(shared.url, namespace=namespace, experiment=payload))
        page.get_by_role("button", name="Settings").click()
        page.get_by_role("button", name="Delete…").click()
        expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text(f"Delete {payload}?")
        page.keyboard.press("Escape")
    assert page.evaluate("window.hits") == 0
    foreign = "img, iframe, script, base, [onload], [onerror], [style]"
    assert page.locator(foreign).count() == 1  # the page's own script


def test_a_sentence_keeps_its_direction_whatever_it_quotes(
    shared: LocalBackend, visit: Opener
) -> None:
    marks = "\u202eevil\u2067 שלום"
    send(shared.url, events("bidi", marks, {"base": (900, {"g": 90}), marks: (900, {"g": 200})}))
    page = visit(shared.url, {"namespace": "bidi", "experiment": marks})
    expect(page.locator(".reason")).to_contain_text(f"{marks} beats base: its lift is between")
    places = page.evaluate("""() => [...document.querySelector(".reason").childNodes]
        .filter((node) => node.nodeType === Node.TEXT_NODE && /[a-z]/.test(node.data))
        .flatMap((node) => {
          const first = node.data.search(/[a-z]/), range = document.createRange();
          return [first, first + 1].map((at) => {
            range.setStart(node, at);
            range.setEnd(node, at + 1);
            return range.getBoundingClientRect().left;
          });
        })""")
    assert len(places) >= 4
    assert places == sorted(places)
    facts = page.locator(".title").evaluate("title => getComputedStyle(title).direction")
    assert facts == "ltr"
    isolated = page.locator("bdi").evaluate_all(
        "all => all.every((each) => getComputedStyle(each).unicodeBidi === 'isolate')"
    )
    assert isolated


@pytest.mark.parametrize("width", [360, 1280])
def test_long_names_widen_nothing(shared: LocalBackend, visit: Opener, width: int) -> None:
    for name in LONG:
        arms = {name: (80, {name: 30, "g": 3}), "b": (60, {})}
        send(shared.url, events("L" * 256, name, arms), batch_size=90)
    page = visit(shared.url, {"namespace": "L" * 256}, size=(width, 800))
    expect(page.locator(".list tbody tr")).to_have_count(2)
    assert sizes(page) == (width, width)
    for name in LONG:
        page.goto(address(shared.url, namespace="L" * 256, experiment=name))
        expect(page.get_by_role("heading", level=1)).to_have_text(name)
        expect(page.locator(".results tbody th .name").first).to_be_visible()
        page.get_by_text("All figures").click()
        assert sizes(page) == (width, width)
        page.get_by_role("button", name="Settings").click()
        dialog = page.locator("dialog")
        overflow = "each => each.scrollWidth - each.clientWidth"
        assert dialog.evaluate(overflow) == 0
        page.get_by_role("button", name="Delete…").click()
        assert dialog.evaluate(overflow) == 0
        page.keyboard.press("Escape")


def test_no_script_can_put_markup_in(shared: LocalBackend, visit: Opener, watch: Watch) -> None:
    """Should a slip ever write a name into innerHTML, the browser refuses."""
    page = visit(shared.url)
    refused = page.evaluate("""() => {
        try {
            document.body.innerHTML = "<b>bold</b>";
        } catch (error) {
            return error.name;
        }
    }""")
    assert refused == "TypeError"
    # The attempt is what the watch reports here.
    assert all("TrustedHTML" in line for line in watch.wrong)
    watch.wrong.clear()


# Counts the rows of the overview that are built anew.
COUNTING = """() => {
  window.rowsBuilt = 0;
  const create = document.createElement.bind(document);
  document.createElement = (tag) => {
    if (tag === "th") window.rowsBuilt++;
    return create(tag);
  };
}"""


def test_an_update_builds_only_the_rows_that_changed(shared: LocalBackend, visit: Opener) -> None:
    for number in range(30):
        send(shared.url, events("still", f"test {number:02}", {"A": (2, {"g": 1}), "B": (1, {})}))
    page = visit(shared.url, {"namespace": "still"}, clock=True)
    expect(page.locator(".list tbody tr")).to_have_count(30)
    page.evaluate(COUNTING)

    def built_by_an_update() -> int:
        page.evaluate("window.rowsBuilt = 0")
        with page.expect_response("**/experiments?*") as answer:
            page.clock.run_for(16_000)
        answer.value.finished()
        number = page.evaluate("window.rowsBuilt")
        assert isinstance(number, int)
        return number

    heads = page.locator(".list thead th").count()
    assert built_by_an_update() == heads
    send(shared.url, events("still", "test 07", {"A": (9, {})}))
    page.evaluate("window.rowsBuilt = 0")
    page.clock.run_for(16_000)
    changed = page.locator(".list tbody tr").filter(has_text="test 07")
    expect(changed).to_contain_text("10")
    assert page.evaluate("window.rowsBuilt") == heads + 1
