// @ts-check
// Requests to the backend. The key stays in the session storage of open tabs and is sent only in a
// header.

export const KEY = "gimel key";
const TIMEOUT_MS = 20000;

/** Move the key from the address bar, where `gimel dashboard` puts it, to the session storage. */
export function takeKey() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (!fragment.has("key")) return;
  sessionStorage.setItem(KEY, fragment.get("key") ?? "");
  fragment.delete("key");
  history.replaceState(history.state, "", `#${fragment}`);
}

/**
 * Share the key with other tabs of this page: ask them for it, tell them, and forget it with them.
 * Only their session storage holds it, so the key is gone when the last tab is closed.
 * @param {() => boolean} isRight whether the backend took the key of this tab
 * @param {() => void} changed
 * @returns {() => void} what forgets the key in all tabs
 */
export function shareKey(isRight, changed) {
  const tabs = new BroadcastChannel(`gimel ${location.pathname}`);
  tabs.addEventListener("message", ({ data }) => {
    const key = sessionStorage.getItem(KEY);
    if (data.isWanted && key && isRight()) return tabs.postMessage({ key });
    if (data.key && !key) sessionStorage.setItem(KEY, data.key);
    else if (data.isForgotten && key) sessionStorage.removeItem(KEY);
    else return;
    changed();
  });
  if (!sessionStorage.getItem(KEY)) tabs.postMessage({ isWanted: true });
  return () => {
    sessionStorage.removeItem(KEY);
    tabs.postMessage({ isForgotten: true });
    changed();
  };
}

/** An error that the backend answered, or no answer (status 0). */
export class BackendError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {string} [field]
   */
  constructor(status, message, field) {
    super(message);
    this.status = status;
    this.field = field;
  }
  get needsKey() {
    return this.status === 403 && this.field === "x-api-key";
  }
}

/**
 * Send a request and return the text of the answer. Throws BackendError, or AbortError on `signal`.
 * @param {string} method
 * @param {string} path
 * @param {Record<string, any>} fields
 * @param {{ body?: unknown, signal?: AbortSignal }} [given]
 */
export async function ask(method, path, fields, { body, signal } = {}) {
  const key = sessionStorage.getItem(KEY);
  // A header cannot carry other characters, and no key has any.
  if (/[^\x20-\x7e]/.test(key ?? "")) throw new BackendError(403, "This is not a key.", "x-api-key");
  const headers = { ...(key && { "x-api-key": key }), ...(body !== undefined && { "content-type": "application/json" }) };
  const stop = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal ? [signal] : [])]);
  let answer, text;
  try {
    const address = `${path}?${new URLSearchParams(fields)}`;
    answer = await fetch(address, { method, headers, body: JSON.stringify(body), signal: stop });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new BackendError(0, "The backend does not answer.");
  }
  if (answer.ok) return text;
  throw errorFrom(answer.status, text);
}

/**
 * @param {number} status
 * @param {string} text
 */
function errorFrom(status, text) {
  try {
    const { error, field } = JSON.parse(text);
    if (error) return new BackendError(status, `${error[0].toUpperCase()}${error.slice(1)}.`, field);
  } catch {
    // Not JSON, so the answer is not from Gimel but from a server in between.
  }
  return new BackendError(status, `The backend answered with an error (${status}).`);
}
