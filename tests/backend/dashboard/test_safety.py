"""The dashboard among enemies: the key, names from the open endpoint, the policy."""

import re

import pytest
import requests
from playwright.sync_api import Page, Request, expect

from tests.support.dashboard_page import (
    KEY,
    KeyedBackend,
    Opener,
    Watch,
    address,
    axe,
    events,
    send,
)
from tests.support.deployments import Deployment
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


LONG = ("W" * 256, "👩🏽‍🚀" * 64)


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


def bearers(watch: Watch) -> list[Request]:
    return [request for request in watch.requests if "x-api-key" in request.headers]


def test_the_key_leaves_the_address_bar_and_stays_in_the_session(
    keyed: KeyedBackend, visit: Opener, watch: Watch
) -> None:
    page = visit(keyed.url, {"namespace": "alephbet", "key": KEY})
    expect(page.locator(".list")).to_contain_text("locked away")
    assert page.url == f"{keyed.url}/dashboard#namespace=alephbet"
    stored = page.evaluate("[{ ...sessionStorage }, { ...localStorage }, document.cookie]")
    assert stored == [{"gimel key": KEY}, {}, ""]
    assert page.evaluate("history.length") == 2  # about:blank, and the page without its key
    assert {request.headers["x-api-key"] for request in bearers(watch)} == {KEY}
    assert KEY not in page.content()
    page.reload()
    expect(page.locator(".list")).to_contain_text("locked away")
    other = page.context.new_page()
    watch.follow(other)
    other.goto(page.url)
    expect(other.get_by_label("Read key")).to_be_visible()


def test_a_wrong_key_is_asked_for_again(keyed: KeyedBackend, visit: Opener, watch: Watch) -> None:
    page = visit(keyed.url)
    field = page.get_by_label("Read key")
    expect(page.locator("#unlock-error")).to_be_empty()
    assert bearers(watch) == []
    for wrong in ("wrong", "ключ"):
        field.fill(wrong)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This key is wrong.")
    assert "locked away" not in page.content()
    field.fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator(".list")).to_contain_text("locked away")
    page.get_by_role("button", name="Forget key").click()
    expect(field).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    assert "locked away" not in page.content()


def test_a_key_that_is_changed_meanwhile_takes_the_figures_away(
    keyed: KeyedBackend, visit: Opener
) -> None:
    page = visit(keyed.url, {"key": KEY}, clock=True)
    expect(page.locator(".list")).to_contain_text("locked away")
    page.evaluate("sessionStorage.setItem('gimel key', 'rotated')")
    page.clock.run_for(16_000)
    expect(page.get_by_text("This key is wrong.")).to_be_visible()
    assert "locked away" not in page.content()
    page.route("**/experiments?*", lambda route: route.abort())
    page.get_by_label("Read key").press("Enter")
    expect(page.get_by_text("The backend does not answer.")).to_be_visible()
    assert "locked away" not in page.content()


def test_the_page_is_one_response_that_allows_nothing_else(
    shared: LocalBackend, visit: Opener, watch: Watch
) -> None:
    answer = requests.get(f"{shared.url}/dashboard", timeout=10)
    parts = answer.headers["content-security-policy"].split(";")
    policy = dict(part.strip().partition(" ")[::2] for part in parts)
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for kind in ("script-src", "style-src"):
        assert re.fullmatch("'sha256-[^']{44}'", policy[kind])
    assert len(re.findall("</script", answer.text)) == 1
    page = visit(shared.url)
    expect(page.locator("#snippet")).to_be_visible()
    loaded = {request.url.partition("?")[0] for request in watch.requests}
    assert {url for url in loaded if not url.startswith("data:")} == {
        f"{shared.url}/dashboard",
        f"{shared.url}/experiments",
    }


def test_first_paint_is_under_100_kb(shared: LocalBackend, watch: Watch) -> None:
    for number in range(10):
        arms = {label: (30, {"signup": 5, "paid": 2}) for label in ("control", "red")}
        send(shared.url, events("usual", f"A usual experiment, {number}", arms))
    page = requests.get(f"{shared.url}/dashboard", timeout=10).content
    data = requests.get(f"{shared.url}/experiments?namespace=usual", timeout=10).content
    assert len(page) + len(data) < 100_000


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


def test_the_deployed_page_asks_for_the_key_and_shows_data(
    deployed: Deployment, visit: Opener, watch: Watch
) -> None:
    send(deployed.url, events("dash", "deployed one", {"a": (30, {"g": 5}), "b": (31, {"g": 9})}))
    page = visit(deployed.url, {"namespace": "dash"})
    page.get_by_label("Read key").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This key is wrong.")).to_be_visible()
    page.goto("about:blank")
    page.goto(address(deployed.url, namespace="dash", key=deployed.key))
    page.get_by_role("link", name="deployed one").click()
    expect(page.locator(".results")).to_contain_text("31")
    assert deployed.key not in page.url
    assert not [request for request in watch.requests if deployed.key in request.url]
    page.get_by_label("Compared with").select_option("b")
    expect(page.locator(".results tr.base th")).to_contain_text("b")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_where_the_key_is_asked_for(
    keyed: KeyedBackend, visit: Opener, scheme: str, width: int
) -> None:
    page = visit(keyed.url, size=(width, 800), color_scheme=scheme)
    expect(page.get_by_label("Read key")).to_be_visible()
    assert axe(page) == []
    page.get_by_label("Read key").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert axe(page) == []
