"""The HTML to paste into a page that uses AlephBet: a pinned AlephBet, with a queue of our own."""

from collections.abc import Mapping, Sequence

from gimel.backend.wire import DEFAULT_NAMESPACE
from gimel.snippet import attribute_name, check_names, check_weights, script_string

ALEPHBET_URL = "https://cdn.jsdelivr.net/npm/alephbet@0.27.0/dist/alephbet.min.js"
ALEPHBET_INTEGRITY = "sha384-4VEL32ya6Zl4KzeC363t/ySCI+riTrRthoaev9aFmg7i5aF8/44TAI0fCz7Vvzha"

# AlephBet's own adapters keep the queue of unsent events as one value, which two tabs or two
# experiments overwrite. They also send the whole queue with every event.
_TEMPLATE = """\
<script async src="{alephbet}"
        integrity="{integrity}" crossorigin="anonymous"></script>
<script>
  (function () {{
    var url = {track}, namespace = {namespace}, name = {experiment};
    var goals = [{goals}], early = [], experiment;
    var variants = {{
{variants}
    }};

    // The variant goes into an attribute of <html>, where CSS and scripts find it.
    function show(variant) {{ document.documentElement.setAttribute({attribute}, variant); }}

    // Where the browser refuses localStorage, what is stored lasts as long as the page.
    var store = {{}};
    try {{ store = window.localStorage || store; }} catch (refused) {{}}
    function write(key, value) {{
      try {{ store[key] = value; }}
      catch (full) {{ (store = Object.assign({{}}, store))[key] = value; }}
    }}
    function state() {{ return JSON.parse(store.alephbet || "{{}}"); }}
    var storage = {{
      get: function (key) {{ return state()[key]; }},
      set: function (key, value) {{
        var changed = state();
        changed[key] = value;
        write("alephbet", JSON.stringify(changed));
      }}
    }};

    // Each unsent event is stored under a key of its own, so no tab overwrites another's. All
    // experiments of the page share this queue.
    var queues = window.gimelQueues = window.gimelQueues || {{}};
    var queue = queues[url] = queues[url] || (function () {{
      var prefix = "gimel-queue " + url + " ", sending = {{}}, pause = 0, timer = 0;
      function waiting() {{
        return Object.keys(store).filter(function (key) {{
          return key.indexOf(prefix) === 0 && !sending[key];
        }});
      }}
      function send(isRetry) {{
        if (pause && !isRetry) return;
        // Ten events with the longest names fit into the 64 KB that keepalive allows.
        var keys = waiting().slice(0, 10);
        if (!keys.length) {{ pause = 0; return; }}
        keys.forEach(function (key) {{ sending[key] = true; }});
        fetch(url, {{
          method: "POST", keepalive: true, credentials: "omit",
          body: "[" + keys.map(function (key) {{ return store[key]; }}) + "]"
        }}).then(function (answer) {{ return answer.json(); }}).then(function (answer) {{
          // Of the rejected events, those that name no field may be counted later.
          var full = answer.rejected.filter(function (each) {{ return !each.field; }});
          full = full.map(function (each) {{ return keys[each.index]; }});
          keys.forEach(function (key) {{ if (full.indexOf(key) < 0) delete store[key]; }});
          if (full.length) throw full;
          pause = 0;
          send();
        }}).catch(function () {{
          keys.forEach(function (key) {{ delete sending[key]; }});
          if (timer) return;
          pause = Math.min(2 * pause || 5, 600);
          timer = setTimeout(function () {{ timer = 0; send(true); }}, 1000 * pause);
        }});
      }}
      window.addEventListener("online", send);
      send();
      return function (id, event) {{
        if (waiting().length < 500) write(prefix + id, JSON.stringify(event));
        // Events of the same moment leave together.
        Promise.resolve().then(send);
      }};
    }})();

    // The uuids are those of AlephBet's GimelAdapter.
    function track(user, variant, event, isUnique) {{
      var utils = AlephBet.utils, id = utils.uuid();
      queue(id, {{
        experiment: name, variant: variant, event: event, namespace: namespace,
        uuid: user && isUnique ? utils.sha1([namespace, name, user].join(".")) : id
      }});
    }}

    function start() {{
      if (experiment || !window.AlephBet) return;
      experiment = new AlephBet.Experiment({{
        name: name,
        // user_id: "…",  // the id of a logged-in visitor, who then counts once on all devices
        variants: variants,
        storage_adapter: storage,
        tracking_adapter: {{
          experiment_start: function (started, variant) {{
            track(started.user_id, variant, "participate", true);
          }},
          goal_complete: function (started, variant, goal, props) {{
            track(started.user_id, variant, goal, props.unique);
          }}
        }}
      }});
      early.forEach(reach);
    }}

    function reach(goal) {{
      if (goals.indexOf(goal) < 0) return;
      if (experiment) experiment.goal_complete(goal); else early.push(goal);
    }}
    // gimelGoal("…") counts as reaching that goal, in all experiments of the page that have it.
    var others = window.gimelGoal;
    window.gimelGoal = function (goal) {{ if (others) others(goal); reach(goal); }};
    // So does a click on an element with data-goal="…".
    document.addEventListener("click", function (event) {{
      var element = event.target.closest("[data-goal]");
      if (element) reach(element.getAttribute("data-goal"));
    }}, true);

    // A visitor who has been here sees the variant before AlephBet arrives.
    var known = storage.get(name + ":variant");
    if (variants[known]) show(known);
    start();
    document.addEventListener("load", start, true);
  }})();
</script>
"""
_VARIANT = "      {name}: {{ {share}activate: function () {{ show({name}); }} }}"


def _variant_lines(variants: Mapping[str, float | None]) -> str:
    """Return the lines for the variants. AlephBet needs whole numbers as weights."""
    is_whole = all(weight is None or weight == int(weight) for weight in variants.values())
    factor = 1 if is_whole else 1000
    shares = {
        name: "" if weight is None else f"weight: {round(weight * factor)}, "
        for name, weight in variants.items()
    }
    return ",\n".join(
        _VARIANT.format(name=script_string(name), share=share) for name, share in shares.items()
    )


def alephbet_snippet(
    url: str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    experiment: str = "my experiment",
    variants: Mapping[str, float | None] | Sequence[str] = ("A", "B"),
    goals: Sequence[str] = ("signup",),
    event_path: str = "e",
) -> str:
    """Return the HTML for one experiment. `url` is the address of the backend, without a route.

    Raises ValueError if an experiment cannot have these names and weights.
    """
    check_names(url, [experiment, namespace, *variants, *goals], variants)
    weights = variants if isinstance(variants, Mapping) else dict.fromkeys(variants)
    if 0 < list(weights.values()).count(None) < len(weights):
        raise ValueError("either every variant has a weight or none has")
    check_weights(weights.values())
    return _TEMPLATE.format(
        alephbet=ALEPHBET_URL,
        integrity=ALEPHBET_INTEGRITY,
        track=script_string(f"{url}/{event_path}"),
        namespace=script_string(namespace),
        experiment=script_string(experiment),
        attribute=script_string(attribute_name(experiment)),
        variants=_variant_lines(weights),
        goals=", ".join(script_string(name) for name in goals),
    )
