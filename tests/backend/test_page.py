"""The joining of the dashboard's modules: what the page relies on, and what is left out of it."""

import re
from collections import Counter
from pathlib import Path

from gimel.backend.page import page

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "gimel" / "backend" / "dashboard"
MODULES = {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.mjs")}
NAME = re.compile(r"^(?:export )?(?:const|let|class|function|async function) (\w+)", re.M)
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.mjs";$', re.M)


def script() -> str:
    found = re.search(r"<script>(.*)</script>", page()["body"], re.S)
    assert found
    return found[1]


def names(text: str) -> Counter[str]:
    return Counter(NAME.findall(text))


def test_a_name_means_one_thing_in_all_modules() -> None:
    """The page joins them into one scope. There, a second function would replace the first."""
    everywhere = sum((names(text) for text in MODULES.values()), Counter())
    assert [name for name, number in everywhere.items() if number > 1] == []
    assert len(everywhere) > 100


def test_modules_import_in_the_form_that_the_page_can_join() -> None:
    for name, text in MODULES.items():
        imports = IMPORT.findall(text)
        assert len(imports) == len(re.findall(r"^import\b|\bimport\(", text, re.M)), name
        for listed, source in imports:
            assert " as " not in listed
            wanted = {each for each in re.split(r"[\s,]+", listed) if each}
            exported = re.findall(r"^export \w+ (?:function )?(\w+)", MODULES[source], re.M)
            assert wanted <= set(exported), f"{name} imports {wanted} from {source}"


def test_every_module_is_in_the_page_once_and_after_its_imports() -> None:
    text = script()
    assert names(text) >= sum((names(each) for each in MODULES.values()), Counter())
    assert not re.search(r"^(import|export)\b", text, re.M)
    places = {}
    for name, module in MODULES.items():
        (first, *_) = re.findall(
            r"^(?:export )?((?:const|let|class|function|async) .*)", module, re.M
        )
        assert text.count(first) == 1, name
        places[name] = text.index(first)
    for name, module in MODULES.items():
        for _, source in IMPORT.findall(module):
            assert places[source] < places[name], f"{source} comes after {name}"


def test_the_page_keeps_what_a_template_indents() -> None:
    (template,) = re.findall(r"usage = (`.*?)`;\n", MODULES["snippet"], re.S)
    assert "\n     " in template
    assert template in script()
    assert "\nreturn" in script()


def test_a_comment_has_a_line_of_its_own() -> None:
    """Line breaks are left out of the page, and a comment would go on to the next line."""
    for name, text in MODULES.items():
        assert not re.search(r"^[^\n\"`/]*[^\n\"`/ ][^\n\"`/]* // ", text, re.M), name


def test_types_and_comments_between_functions_stay_behind() -> None:
    assert "types.d.ts" in MODULES["main"]
    assert "types.d.ts" not in script()
    assert not re.search(r"^(//|/\*\*)|/\*\* @type", script(), re.M)
