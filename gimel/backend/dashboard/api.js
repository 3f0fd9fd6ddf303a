// The key and the backend. The key stays in this tab's session and travels in a header only.

const KEY = "gimel key";
const PATIENCE = 20000;

/** Move a key from the address bar, where `gimel dashboard` put it, to the session. */
function takeKey() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (!fragment.has("key")) return;
  sessionStorage.setItem(KEY, fragment.get("key"));
  fragment.delete("key");
  history.replaceState(null, "", `#${fragment}`);
}

/** An answer that is an error, or no answer (status 0). */
class Refusal extends Error {
  constructor(status, message, field) {
    super(message);
    Object.assign(this, { status, field });
  }
  get asksKey() {
    return this.status === 403 && this.field === "x-api-key";
  }
}

/** Ask the backend; give the text of its answer. Throws Refusal, or AbortError on `signal`. */
async function ask(method, path, fields, { body, signal } = {}) {
  const key = sessionStorage.getItem(KEY);
  // A header takes no other characters, and no key has any.
  if (/[^\x20-\x7e]/.test(key ?? "")) throw new Refusal(403, "That is no key.", "x-api-key");
  const headers = { ...(key && { "x-api-key": key }), ...(body && { "content-type": "application/json" }) };
  const stop = AbortSignal.any([AbortSignal.timeout(PATIENCE), ...(signal ? [signal] : [])]);
  let answer, text;
  try {
    const address = `${path}?${new URLSearchParams(fields)}`;
    answer = await fetch(address, { method, headers, body: body && JSON.stringify(body), signal: stop });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, "The backend does not answer.");
  }
  if (answer.ok) return text;
  throw refusal(answer.status, text);
}

function refusal(status, text) {
  try {
    const { error, field } = JSON.parse(text);
    if (error) return new Refusal(status, `${error[0].toUpperCase()}${error.slice(1)}.`, field);
  } catch {
    // not JSON: something between here and the backend answered
  }
  return new Refusal(status, `The backend answers with an error (${status}).`);
}
