"""Links, paths, modules and make targets of all pages exist, and every page is in the index."""

import re
from pathlib import Path

import pytest

from tests.support.pages import DOCS, PAGES, ROOT, name_of
from tests.support.written_tables import compare

LLMS = ROOT / "llms.txt"
_RAW = "https://raw.githubusercontent.com/Alephbet/gimel/HEAD"

# A path of this repository, in a span of code. A path at home or in /tmp is none.
REPOSITORY_PATH = r"(?<![\w~/.])(?:(?:\.ci|\.github|bench|docs|gimel|tests)/[\w./-]*)"

_ON_GITHUB = (
    r"(?:github\.com/Alephbet/gimel/(?:blob|tree)|raw\.githubusercontent\.com/Alephbet/gimel)"
)

with_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def outside_blocks(text: str) -> str:
    """Return a text without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", outside_blocks(text), re.M)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def links(page: Path) -> list[str]:
    """Return where the links of a page lead inside of this repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", outside_blocks(page.read_text("utf-8")))
    return [each for each in found if not re.match(r"[a-z]+:", each)]


@with_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), link


@with_page
def test_every_address_of_a_file_in_the_repository_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for path in re.findall(rf"{_ON_GITHUB}/[\w.-]+/([\w./-]+)", text):
        assert (ROOT / path).exists(), path


def test_the_index_has_every_page_once() -> None:
    listed = [(DOCS / link).resolve() for link in links(DOCS / "README.md")]
    assert len(listed) == len(set(listed))
    records = {path for path in DOCS.glob("decisions/*.md") if path.name != "README.md"}
    pages = set(DOCS.glob("**/*.md")) - records - {DOCS / "README.md"}
    assert set(listed) == {*pages, DOCS / "openapi.json"}


def test_llms_txt_lists_the_pages_of_the_index() -> None:
    """Its form is that of https://llmstxt.org: a heading, a quotation, sections of links."""
    index = (DOCS / "README.md").read_text("utf-8")
    sections = re.sub(
        r"\]\(([^)]+)\)", lambda link: f"]({_RAW}/docs/{link[1]})", index[index.index("## ") :]
    )
    text = LLMS.read_text("utf-8")
    assert re.match(r"# Gimel\n\n> .+\n", text)
    compare(LLMS, text[: text.index("## ")] + sections)


def test_the_index_says_something_of_every_page() -> None:
    for line in (DOCS / "README.md").read_text("utf-8").splitlines():
        if line.startswith("- "):
            assert re.fullmatch(r"- \[[^\]]+\]\([^)]+\): .+\.", line), line


def code_of(page: Path) -> list[str]:
    """Return the text of each span of code."""
    return re.findall(r"`([^`\n]+)`", page.read_text("utf-8"))


@with_page
def test_every_path_and_module_exists(page: Path) -> None:
    for path in re.findall(REPOSITORY_PATH, "\n".join(code_of(page))):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"python -m ((?:bench|gimel|tests)[\w.]*)", page.read_text("utf-8")):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module


@with_page
def test_every_make_target_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    commands = [*code_of(page), *re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make ([a-z-]+)", "\n".join(commands), re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "AGENTS.md"])
def test_a_recipe_names_what_its_file_holds(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    seen = 0
    for step in re.findall(r"^(?:\d\.|-) (.*?)(?=^\S|^$)", text, re.M | re.S):
        spans = re.findall(r"`([^`]+)`", step)
        files = [ROOT / span for span in spans if re.fullmatch(REPOSITORY_PATH, span)]
        held = "\n".join(file.read_text("utf-8") for file in files if file.is_file())
        for name in (span for span in spans if held and span.isidentifier()):
            assert re.search(rf"\b{name}\b", held), name
            seen += 1
    assert seen >= (8 if page == "CONTRIBUTING.md" else 0)
