// What the daemon says, over /v1/.

// Numbers of 64 bits do not fit into JavaScript's: long ones are kept as their digits.
const LONG = /("(?:[^"\\]|\\.)*")|(-?\d{16,})/g;
const parse = (text) => JSON.parse(text.replace(LONG, (all, string, digits) => (string ? all : `"${digits}"`)));

export class Refused extends Error {
  constructor(status, code, text) {
    super(text);
    this.status = status;
    this.code = code;
  }
}

let leave = new AbortController();
/** Whoever goes elsewhere waits for nothing of before. */
export function forget() {
  leave.abort();
  leave = new AbortController();
}

async function request(path) {
  const signal = leave.signal;
  let response;
  try {
    response = await fetch(path, {cache: 'no-store', credentials: 'omit', redirect: 'error', signal});
  } catch (e) {
    if (signal.aborted) throw e;
    throw new Refused(0, 'unreachable', 'The daemon does not answer. Is it running, and is this still its address?');
  }
  if (response.ok) return response;
  let problem = {};
  try {
    problem = parse(await response.text());
  } catch { /* not from the daemon: the status has to do */ }
  throw new Refused(response.status, problem.code ?? 'http', problem.detail ?? problem.title ?? `Status ${response.status}.`);
}

export const get = async (path) => parse(await (await request(path)).text());
export const get_text = async (path) => (await request(path)).text();
export const get_bytes = async (path) => (await request(path)).arrayBuffer();
export const parse_bytes = (bytes) => parse(new TextDecoder().decode(bytes));

/** The query of a specifier, or of a URL, which is told by its "://". */
export const of = (spec) => (spec.includes('://') ? 'url=' : 'specifier=') + encodeURIComponent(spec);

/** How a canonical form is typed: that of a location shows its URL, which is written as base64. */
export function typed(canonical) {
  if (!canonical.startsWith('url:https://')) return canonical;
  const bytes = new TextEncoder().encode(canonical.slice(4));
  return 'url:' + btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
