"""The key and the open tabs of the page: asked for once, gone with the last, forgotten in all."""

from playwright.sync_api import Page, expect

from tests.support.dashboard_page import KEY, KeyedBackend, Opener, Watch

STORED = "[{ ...sessionStorage }, { ...localStorage }, document.cookie]"
FIGURES = ".list"


def open_tab(page: Page, watch: Watch, url: str) -> Page:
    other = page.context.new_page()
    other.set_default_timeout(60_000)
    watch.follow(other)
    other.goto(url)
    return other


def test_a_new_tab_gets_the_key_from_another(
    keyed: KeyedBackend, visit: Opener, watch: Watch
) -> None:
    page = visit(keyed.url, {"key": KEY})
    expect(page.locator(FIGURES)).to_contain_text("locked away")
    other = open_tab(page, watch, f"{keyed.url}/dashboard")
    expect(other.locator(FIGURES)).to_contain_text("locked away")
    assert other.evaluate(STORED) == [{"gimel key": KEY}, {}, ""]
    assert KEY not in other.content()
    page.close()
    third = open_tab(other, watch, f"{keyed.url}/dashboard")
    expect(third.locator(FIGURES)).to_contain_text("locked away")


def test_the_last_tab_takes_the_key_with_it(
    keyed: KeyedBackend, visit: Opener, watch: Watch
) -> None:
    page = visit(keyed.url, {"key": KEY})
    expect(page.locator(FIGURES)).to_contain_text("locked away")
    blank = page.context.new_page()
    page.close()
    other = open_tab(blank, watch, f"{keyed.url}/dashboard")
    expect(other.get_by_label("Key", exact=True)).to_be_focused()
    assert other.evaluate(STORED) == [{}, {}, ""]


def test_all_tabs_forget_the_key(keyed: KeyedBackend, visit: Opener, watch: Watch) -> None:
    page = visit(keyed.url, {"key": KEY})
    expect(page.locator(FIGURES)).to_contain_text("locked away")
    other = open_tab(page, watch, f"{keyed.url}/dashboard")
    expect(other.locator(FIGURES)).to_contain_text("locked away")
    page.get_by_role("button", name="Forget key").click()
    for tab in (page, other):
        expect(tab.get_by_label("Key", exact=True)).to_be_visible()
        assert tab.evaluate("sessionStorage.length") == 0
        assert "locked away" not in tab.content()


def test_a_wrong_key_is_not_passed_on(keyed: KeyedBackend, visit: Opener, watch: Watch) -> None:
    page = visit(keyed.url, {"key": "wrong"})
    expect(page.get_by_text("This key is wrong.")).to_be_visible()
    other = open_tab(page, watch, f"{keyed.url}/dashboard")
    expect(other.get_by_label("Key", exact=True)).to_be_visible()
    expect(other.locator("#unlock-error")).to_be_empty()
    assert other.evaluate("sessionStorage.length") == 0


def test_another_address_of_the_origin_is_not_told(
    keyed: KeyedBackend, visit: Opener, watch: Watch
) -> None:
    """Backends at two paths of one host have two keys."""
    page = visit(keyed.url, {"key": KEY})
    expect(page.locator(FIGURES)).to_contain_text("locked away")
    heard = page.context.new_page()
    heard.goto(f"{keyed.url}/e")
    answer = heard.evaluate("""() => new Promise((done) => {
        const channel = new BroadcastChannel("gimel /stage/dashboard");
        channel.onmessage = ({ data }) => done(data);
        channel.postMessage({ isWanted: true });
        setTimeout(() => done("silence"), 500);
    })""")
    assert answer == "silence"
