"""The dialog that declares an experiment: keyboard, mistakes, failures, snippet."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from gimel.snippet import snippet
from tests.support.dashboard_page import (
    Opener,
    address,
    axe,
    events,
    send,
    tab_to,
)
from tests.support.declared_experiments import ARMS, put, read, tally
from tests.support.gimel_local import LocalBackend

HOSTILE = "<img src=x onerror=hit()>"
HIT = "window.hits = 0; window.hit = () => { window.hits++; };"


def opened(page: Page) -> Locator:
    """Open the dialog for a new experiment, with everything in it that has to be there."""
    page.get_by_role("button", name="New experiment").click()
    dialog = page.get_by_role("dialog")
    for label, text in {
        "Name": "n",
        "Variant 1 (baseline)": "a",
        "Variant 2": "b",
        "Goal 1": "g",
    }.items():
        dialog.get_by_role("textbox", name=label, exact=True).fill(text)
    return dialog


def box(dialog: Locator, label: str) -> Locator:
    return dialog.get_by_role("textbox", name=label, exact=True)


def test_the_keyboard_creates_an_experiment(served: LocalBackend, visit: Opener) -> None:
    page = visit(served.url, {"namespace": "keys"})
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    expect(page.get_by_text("No experiment here yet")).to_be_visible()
    tab_to(page, "[data-action=create]")
    page.keyboard.press("Enter")
    write(page, "color", "blue", "60", "red", "40")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    write(page, "a slip")
    tab_to(page, ".remove")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Add variant")).to_be_focused()
    page.keyboard.press("Tab")
    write(page, "signup")
    tab_to(page, "[type=checkbox]")
    tab_to(page, "fieldset > button")
    page.keyboard.press("Enter")
    write(page, "refund", "guardrail", "every time")
    for _ in range(2):
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
    tab_to(page, "textarea")
    write(page, "Red draws the eye", "5000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="color is ready")).to_be_visible()
    copy = page.get_by_role("dialog").get_by_role("button", name="Copy")
    expect(copy).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Copied.")
    pasted = page.evaluate("navigator.clipboard.readText()")
    assert 'data-variants=\'{"blue":60,"red":40}\'' in pasted
    assert 'data-gimel-goal="signup" -->' in pasted
    expect(page.get_by_role("dialog")).to_contain_text("The snippet does not send refund")
    tab_to(page, "[type=submit]")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="color", exact=True)).to_be_focused()
    found = read(served.url, "keys", "color")["definition"]
    assert found["variants"] == [{"name": "blue", "weight": 60}, {"name": "red", "weight": 40}]
    usual = {"better": "higher", "from": "anyone", "kind": "unique"}
    refund = {"role": "guardrail", "better": "lower", "from": "server", "kind": "total"}
    assert found["goals"] == [
        usual | {"name": "signup", "role": "primary"},
        refund | {"name": "refund"},
    ]
    assert (found["hypothesis"], found["planned_visitors"]) == ("Red draws the eye", 5000)


def write(page: Page, *texts: str) -> None:
    """Type into the focused field and those that follow it."""
    for index, text in enumerate(texts):
        if index:
            page.keyboard.press("Tab")
        page.keyboard.type(text)


def test_focus_stays_in_the_dialog_and_escape_closes_it(
    served: LocalBackend, visit: Opener
) -> None:
    page = visit(served.url, {"namespace": "escape"})
    dialog = opened(page)
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate("!document.activeElement.closest('main, header')")
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    expect(page.get_by_role("button", name="New experiment")).to_be_focused()


def test_another_view_closes_the_dialog(served: LocalBackend, visit: Opener) -> None:
    put(served.url, "back", "color")
    page = visit(served.url, {"namespace": "back"})
    page.get_by_role("link", name="color").click()
    page.get_by_role("button", name="Settings").click()
    page.go_back()
    expect(page.get_by_role("heading", name="Experiments")).to_be_visible()
    expect(page.get_by_role("dialog")).not_to_be_visible()


def test_the_snippet_is_what_the_command_prints(served: LocalBackend, visit: Opener) -> None:
    names = {"n": "“ü” </script>", "a": "<b>", "b": "b&", "g": 'g"'}
    page = visit(served.url, {"namespace": "sn & <ü>"})
    dialog = opened(page)
    for label, text in zip(
        ("Name", "Variant 1 (baseline)", "Variant 2", "Goal 1"), names.values(), strict=True
    ):
        box(dialog, label).fill(f" {text} ")
    dialog.get_by_role("button", name="Create").click()
    printed = snippet(
        served.url,
        script_url=served.url,
        namespace="sn & <ü>",
        experiment=names["n"],
        variants=dict.fromkeys((names["a"], names["b"])),
        goals=[names["g"]],
    )
    expect(dialog.get_by_role("heading")).to_have_text(f"{names['n']} is ready")
    assert dialog.locator("pre").text_content() == printed


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"Name": ""}, {"Name": "Name is empty."}),
        ({"Name": "taken"}, {"Name": "Name is taken: there is an experiment with this name."}),
        (
            {"Variant 2": "__proto__", "Goal 1": "participate"},
            {"Variant 2": "cannot be __proto__.", "Goal 1": "cannot be participate."},
        ),
        ({"Variant 2": "a"}, {"Variant 2": "Variant 2 repeats a."}),
        (
            {"Weight": "0", "Weight 2": "0"},
            {"Variant 1 (baseline)": "Variants must not all have the weight 0."},
        ),
        ({"Weight": "3"}, {"Weight 2": "Weight is missing, but other variants have a weight."}),
        (
            {"Planned visitors (optional)": "0.5"},
            {"Planned visitors (optional)": "must be a whole number"},
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_at_its_field(
    served: LocalBackend, visit: Opener, fields: dict[str, str], errors: dict[str, str]
) -> None:
    put(served.url, "mistakes", "taken")
    page = visit(served.url, {"namespace": "mistakes"})
    dialog = opened(page)

    def field(label: str) -> Locator:
        if label.startswith("Weight"):
            return dialog.get_by_role("spinbutton", name="Weight").nth(int(label == "Weight 2"))
        if label.startswith("Planned"):
            return dialog.get_by_role("spinbutton", name=label)
        return box(dialog, label)

    for label, text in fields.items():
        field(label).fill(text)
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator("[aria-invalid]")).to_have_count(len(errors))
    for label, text in errors.items():
        assert text in (
            dialog.locator(
                f"[id='{field(label).get_attribute('aria-describedby')}']"
            ).text_content()
            or ""
        )
    expect(field(next(iter(errors)))).to_be_focused()
    expect(dialog.get_by_role("alert")).to_be_empty()
    assert served.client.experiments("mistakes")[0]["experiment"] == "taken"


def test_a_goal_list_needs_a_primary_goal(served: LocalBackend, visit: Opener) -> None:
    page = visit(served.url, {"namespace": "roles"})
    dialog = opened(page)
    dialog.get_by_label("Role").select_option("guardrail")
    dialog.get_by_role("button", name="Create").click()
    expect(box(dialog, "Goal 1")).to_have_accessible_description("Goals must have a primary goal.")
    dialog.get_by_label("Role").select_option("primary")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("heading")).to_have_text("n is ready")


def test_a_failed_request_loses_no_input(served: LocalBackend, visit: Opener) -> None:
    page = visit(served.url, {"namespace": "failed"})
    dialog = opened(page)
    page.route("**/experiment?*", lambda route: route.abort())
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_have_text("The backend does not answer.")
    expect(box(dialog, "Variant 2")).to_have_value("b")
    page.unroute("**/experiment?*")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("heading")).to_have_text("n is ready")
    page.keyboard.press("Escape")
    expect(page.locator(".list")).to_contain_text("n")


def test_a_deleted_name_says_how_to_use_it_again(served: LocalBackend, visit: Opener) -> None:
    put(served.url, "deleted", "n")
    served.client.delete("n", "deleted")
    dialog = opened(visit(served.url, {"namespace": "deleted"}))
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("gimel delete --forget")
    expect(box(dialog, "Name")).to_be_focused()


def test_hostile_names_stay_text(served: LocalBackend, visit: Opener, data_dir: Path) -> None:
    page = visit(served.url, {"namespace": "hostile"}, script=HIT)
    dialog = opened(page)
    for label in ("Name", "Variant 2", "Goal 1", "Hypothesis (optional)"):
        box(dialog, label).fill(HOSTILE)
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("heading")).to_have_text(f"{HOSTILE} is ready")
    tally(data_dir, "hostile", HOSTILE, HOSTILE)
    dialog.get_by_role("button", name="Done").click()
    page.route("**/experiment?*", with_link("javascript:hit()"))
    page.reload()
    expect(page.locator(".hypothesis")).to_have_text(HOSTILE)
    expect(page.locator(".health")).to_contain_text(f"(last: {HOSTILE})")
    expect(page.locator(".title a")).to_have_count(0)
    assert page.locator("img, [onerror]").count() == 0
    assert page.evaluate("window.hits") == 0


def with_link(link: str) -> Any:
    """Answer as the backend does, with another link in the definition."""

    def answer(route: Route) -> None:
        found = route.fetch().json()
        found["definition"]["link"] = link
        route.fulfill(json=found)

    return answer


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_axe_finds_nothing(
    served: LocalBackend, visit: Opener, data_dir: Path, scheme: str, width: int
) -> None:
    namespace = f"axe {scheme} {width}"
    put(served.url, namespace, "color")
    send(served.url, events(namespace, "color", ARMS))
    send(served.url, events(namespace, "undeclared", ARMS))
    tally(data_dir, namespace, "color", "Blue")
    page = visit(served.url, {"namespace": namespace}, size=(width, 800), color_scheme=scheme)
    dialog = opened(page)
    assert axe(page) == []
    box(dialog, "Variant 2").fill("")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator("[aria-invalid]")).to_be_visible()
    assert axe(page) == []
    overflow = "each => each.scrollWidth - each.clientWidth"
    assert dialog.evaluate(overflow) == 0
    box(dialog, "Variant 2").fill("b")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("button", name="Done")).to_be_visible()
    assert axe(page) == []
    assert dialog.evaluate(overflow) == 0
    for name in ("color", "undeclared"):
        page.goto(address(served.url, namespace=namespace, experiment=name))
        expect(page.locator(".goal")).to_be_visible()
        assert axe(page) == []
        page.get_by_role("button", name="Settings").click()
        assert axe(page) == []
        page.keyboard.press("Escape")
