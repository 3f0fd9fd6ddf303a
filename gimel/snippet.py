"""The HTML to paste into a page: a pinned AlephBet that sends its events to a backend."""

import json
import re
from collections.abc import Sequence

from gimel.backend.wire import DEFAULT_NAMESPACE, MAX_NAME

ALEPHBET_URL = "https://cdn.jsdelivr.net/npm/alephbet@0.27.0/dist/alephbet.min.js"
ALEPHBET_INTEGRITY = "sha384-4VEL32ya6Zl4KzeC363t/ySCI+riTrRthoaev9aFmg7i5aF8/44TAI0fCz7Vvzha"

# The letters and digits that both `Element.setAttribute` and a CSS selector take. JavaScript
# replaces each half of a character above U+FFFF, which makes one "-" of them as well.
_NOT_IN_ATTRIBUTES = re.compile("[^a-z0-9\xdf-\xf6\xf8-\u037d\u037f-\u1fff\u3001-\ud7ff]+")

_TEMPLATE = """\
<script src="{alephbet}"
        integrity="{integrity}" crossorigin="anonymous"></script>
<script>
  (function () {{
    // Puts the variant into an attribute of <html>: style it with [data-variant="…"], or read it.
    function show(variant) {{ document.documentElement.setAttribute("data-variant", variant); }}
    // Unsent events wait in localStorage. AlephBet 0.27.0 saves them under one name but looks for
    // them under another after a reload. This queue uses one name for both.
    var queue = {{
      get: function () {{ return AlephBet.LocalStorageAdapter.get("_gimel_queue"); }},
      set: function (_, events) {{ AlephBet.LocalStorageAdapter.set("_gimel_queue", events); }}
    }};
    var experiment = new AlephBet.Experiment({{
      name: {experiment},
      // user_id: "…",  // the id of a logged-in visitor, who then counts once on all devices
      tracking_adapter: new AlephBet.GimelAdapter({track}, {namespace}, queue),
      variants: {{
{variants}
      }}
    }});
    // A click on an element with data-goal="…" counts as reaching that goal.
    [{goals}].forEach(function (name) {{
      var goal = new AlephBet.Goal(name);
      experiment.add_goal(goal);
      document.addEventListener("click", function (event) {{
        var element = event.target.closest("[data-goal]");
        if (element && element.getAttribute("data-goal") === name) goal.complete();
      }});
    }});
  }})();
</script>
"""
_VARIANT = "        {name}: {{ activate: function () {{ show({name}); }} }}"


def script_string(text: str) -> str:
    """Return the text as a JavaScript string that is safe inside an HTML script element."""
    quoted = json.dumps(text)
    for character in "<>&":
        quoted = quoted.replace(character, f"\\u{ord(character):04x}")
    return quoted


def attribute_name(experiment: str) -> str:
    """Return the attribute of `<html>` that holds the visitor's variant of the experiment."""
    return f"data-gimel-{_NOT_IN_ATTRIBUTES.sub('-', experiment.lower())}"


def _check(url: str, names: Sequence[str], variants: Sequence[str]) -> None:
    if not url.startswith(("https://", "http://")) and url:
        raise ValueError("the address of the backend must start with https:// or http://")
    if not all(name.strip() and len(name) <= MAX_NAME for name in names):
        raise ValueError(f"a name must have 1 to {MAX_NAME} characters")
    if len(set(variants)) < max(2, len(variants)):
        raise ValueError("an experiment needs at least two variants with different names")
    if "__proto__" in variants:
        raise ValueError("a variant cannot have the name __proto__: JavaScript reserves it")


def snippet(
    url: str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    experiment: str = "my experiment",
    variants: Sequence[str] = ("A", "B"),
    goals: Sequence[str] = ("signup",),
    event_path: str = "e",
) -> str:
    """Return the HTML for one experiment. `url` is the address of the backend, without a route.

    Raises ValueError if an experiment cannot have these names.
    """
    _check(url, [experiment, namespace, *variants, *goals], variants)
    return _TEMPLATE.format(
        alephbet=ALEPHBET_URL,
        integrity=ALEPHBET_INTEGRITY,
        track=script_string(f"{url}/{event_path}"),
        namespace=script_string(namespace),
        experiment=script_string(experiment),
        variants=",\n".join(_VARIANT.format(name=script_string(name)) for name in variants),
        goals=", ".join(script_string(name) for name in goals),
    )
