// The box as the browser knows it: what it said last, and how it is told something. Holds nothing that the box does not.
import { say, refusal } from './words.js';

export const box = { me: { right: 'room', device: null, name: 'konpo' }, state: null, queue: [], board: null, away: false };

const listeners = new Map();

// Calls `what` whenever news of this name come: me, state, queue, library, board, away.
export function on(name, what) {
  if (!listeners.has(name)) listeners.set(name, []);
  listeners.get(name).push(what);
}

function tell(name) {
  for (const what of listeners.get(name) ?? []) what();
}

// Asks the API, with a file or something to be said in JSON. Answers the JSON, or throws an Error whose words are for a person.
export async function ask(method, path, body) {
  let response;
  try {
    const isFile = body instanceof Blob;
    const headers = body === undefined ? {} : { 'Content-Type': isFile ? 'application/octet-stream' : 'application/json' };
    response = await fetch(path, { method, headers, body: isFile ? body : JSON.stringify(body) });
  } catch {
    throw new Error(say('away'));
  }
  const json = (response.headers.get('Content-Type') ?? '').includes('json');
  const answer = json ? await response.json().catch(() => null) : null;
  if (response.ok) return answer;
  throw new Error(refusal(answer?.code, answer?.detail ?? answer?.title));
}

// Shows some words for a while.
export function toast(words, act) {
  const host = document.getElementById('toasts');
  const node = document.createElement('p');
  node.textContent = words;
  if (act) {
    const button = document.createElement('button');
    button.textContent = act.words;
    button.addEventListener('click', () => { node.remove(); act.run(); });
    node.append(' ', button);
  }
  while (host.children.length >= 3) host.firstChild.remove();
  host.append(node);
  setTimeout(() => node.remove(), act ? 10_000 : 6_000);
}

// Asks, and says what is wrong when it is refused. Answers undefined then.
export async function attempt(method, path, body) {
  try {
    return (await ask(method, path, body)) ?? true;
  } catch (error) {
    toast(error.message);
    return undefined;
  }
}

// Sends one command to the box.
export const command = (what) => attempt('POST', '/api/command', what);

// Where the sound is now, milliseconds.
export function position() {
  const state = box.state;
  if (!state) return 0;
  const since = state.transport === 'playing' ? performance.now() - state.heard : 0;
  return state.duration_ms ? Math.min(state.position_ms + since, state.duration_ms) : state.position_ms + since;
}

// What sounds or would: an entry of the queue, or what an app brought.
export function current() {
  const state = box.state;
  if (!state) return null;
  if (state.guest) return state.guest.now;
  return box.queue.find((entry) => entry.id === state.current) ?? null;
}

let asking = false;
let wanted = -1;

async function loadQueue(version) {
  wanted = version;
  if (asking) return;
  asking = true;
  try {
    let had;
    do {
      had = wanted;
      const state = await ask('GET', '/api/state');
      box.queue = state.queue;
    } while (had !== wanted);
    tell('queue');
    tell('state');
  } catch {
    // The stream tells it again as soon as the box is back.
  } finally {
    asking = false;
  }
}

let stream = null;
let delay = 1000;
let timer = 0;

function away(is) {
  if (box.away === is) return;
  box.away = is;
  tell('away');
}

// Listens to the box, for ever: when it is away, again after 1 to 10 seconds, at once when the page is looked at.
export function listen() {
  clearTimeout(timer);
  stream?.close();
  stream = new EventSource('/api/events');
  const hears = (name, take) => stream.addEventListener(name, (event) => take(JSON.parse(event.data)));
  stream.addEventListener('open', () => { delay = 1000; away(false); });
  stream.addEventListener('error', () => {
    away(true);
    stream.close();
    clearTimeout(timer);
    timer = setTimeout(listen, delay);
    delay = Math.min(delay * 2, 10_000);
  });
  hears('state', (state) => { box.state = { ...state, heard: performance.now() }; tell('state'); });
  hears('queue', (queue) => loadQueue(queue.version));
  hears('library', () => tell('library'));
  hears('board', (board) => { box.board = board; tell('board'); });
}

// Asks who this browser is to the box, and listens with that right.
export async function identify() {
  try {
    box.me = await ask('GET', '/api/me');
  } catch {
    // It is away: said by the stream.
  }
  if (box.me.right === 'room') box.board = null;
  tell('me');
  tell('board');
  listen();
}

export const isOwner = () => box.me.right === 'owner';
export const isMember = () => box.me.right !== 'room';

document.addEventListener('visibilitychange', () => { if (!document.hidden && box.away) listen(); });
window.addEventListener('online', () => { if (box.away) listen(); });
// A page that was kept aside by the browser has lost its stream.
window.addEventListener('pageshow', (event) => { if (event.persisted) listen(); });
