// Beaming from this page: files are sent in pieces (tus 1.0.0), two at a time, and go on where they were after anything:
// a cut cable, a phone that slept, a page that was loaded again and given the same files.
import { on, toast } from './box.js';
import { $, button, bytes, el, keyed } from './parts.js';
import { refusal, say } from './words.js';

const files = [];
let number = 0;
let running = 0;

// An XMLHttpRequest, because it says how far a body has gone. Never a Blob as the body: Safari 26 hangs on slices of files.
function request(method, path, { headers = {}, body = null, moved = null, item } = {}) {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    call.open(method, path);
    call.setRequestHeader('Tus-Resumable', '1.0.0');
    for (const [name, value] of Object.entries(headers)) call.setRequestHeader(name, value);
    // A piece is watched by its bytes. A file that begins may wait a minute for somebody's yes; anything else is answered at once.
    if (!body) call.timeout = method === 'POST' ? ASKED : ANSWERED;
    let watch = 0;
    const stalled = () => call.abort();
    const alive = () => { clearTimeout(watch); if (body) watch = setTimeout(stalled, STALLED); };
    const end = (done) => () => { clearTimeout(watch); item.call = null; done(); };
    call.upload.addEventListener('progress', (event) => { alive(); moved?.(event.loaded); });
    call.addEventListener('load', end(() => resolve(call)));
    // Safari calls a broken line an abort; all three mean: ask how far it came, and go on.
    for (const name of ['error', 'abort', 'timeout']) call.addEventListener(name, end(() => reject(new Error(name))));
    item.call = call;
    alive();
    call.send(body);
  });
}

// The box says no, and would again.
class Refused extends Error {}

// What whoever sends has said as the PIN; forgotten with the page.
let pin = '';
let proven = false;
let asking = null;
let gate = Promise.resolve();

// Asks for the PIN, once for all files that wait for it. Answers whether one was typed.
function askPin(words) {
  asking ??= new Promise((resolve) => {
    const input = el('input', { name: 'pin', required: true, maxlength: 20, inputmode: 'numeric', autocomplete: 'off' });
    const form = el('form', { class: 'form', id: 'pin-form' }, el('p', {}, words), el('label', {}, el('span', {}, say('pin')), input),
      el('p', { class: 'buttons' }, el('button', { class: 'main' }, say('goOn')), ' ', button(say('stop'), () => end(''), { type: 'button' })));
    const end = (typed) => {
      pin = typed;
      asking = null;
      $('pin-ask').replaceChildren();
      resolve(typed !== '');
    };
    form.addEventListener('submit', (event) => { event.preventDefault(); end(input.value.trim()); });
    $('pin-ask').replaceChildren(form);
    input.focus();
  });
  return asking;
}

function check(call, ...right) {
  if (right.includes(call.status)) return call;
  let told = null;
  try { told = JSON.parse(call.responseText); } catch { /* It has no words. */ }
  const words = refusal(told?.code, told?.detail ?? told?.title ?? `${call.status}`);
  const error = AGAIN.has(call.status) && !PINS.has(told?.code) ? new Error(words) : new Refused(words);
  throw Object.assign(error, { code: told?.code });
}

// UTF-8 in base64, as tus wants the names.
const coded = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const memory = (item) => `konpo ${item.path} ${item.file.size} ${item.file.lastModified}`;

function remember(item) {
  try {
    if (item.url) localStorage.setItem(memory(item), item.url);
    else localStorage.removeItem(memory(item));
  } catch { /* Without a memory it is sent from its start after a reload. */ }
}

function recall(item) {
  try { return localStorage.getItem(memory(item)); } catch { return null; }
}

// One that was typed is tried with one file: three wrong ones lock out.
function create(item) {
  if (!pin || proven) return announce(item);
  const turn = gate.then(() => {
    // The file before was told that it is another one.
    if (!pin) throw Object.assign(new Refused(refusal('pin_missing')), { code: 'pin_missing' });
    return announce(item);
  });
  gate = turn.catch(() => {});
  return turn;
}

async function announce(item) {
  const metadata = [`filename ${coded(item.path)}`, `files ${coded(String(item.all.files))}`, `bytes ${coded(String(item.all.bytes))}`, ...(item.file.type ? [`filetype ${coded(item.file.type)}`] : []), ...(pin ? [`pin ${coded(pin)}`] : [])].join(',');
  show(item, 'asking');
  const answer = await request('POST', '/api/uploads', {
    headers: { 'Upload-Length': item.file.size, 'Upload-Metadata': metadata }, item,
  });
  let call;
  try {
    call = check(answer, 201);
  } catch (error) {
    // The next file does not try it again.
    if (PINS.has(error.code)) [pin, proven] = ['', false];
    throw error;
  }
  proven = pin !== '';
  item.url = call.getResponseHeader('Location');
  item.known = call.getResponseHeader('Konpo-Known') === '?1';
  remember(item);
  return item.known ? item.file.size : 0;
}

// Where the box has it so far; begun anew when the box does not know it.
async function offset(item) {
  item.url ??= recall(item);
  if (!item.url) return create(item);
  const call = await request('HEAD', item.url, { item });
  if ([403, 404, 410].includes(call.status)) {
    item.url = null;
    return create(item);
  }
  return Number(check(call, 200, 204).getResponseHeader('Upload-Offset'));
}

const piece = (item, at) => item.file.slice(at, Math.min(at + PIECE, item.file.size)).arrayBuffer();

async function send(item) {
  let at = await offset(item);
  item.resumed = at > 0 && !item.known;
  let next = at < item.file.size ? piece(item, at) : null;
  while (at < item.file.size) {
    if (item.given) return;
    show(item, item.resumed ? 'resumed' : 'sending');
    const body = await next;
    const from = at;
    // The next piece is read from the phone while this one is on its way.
    next = from + body.byteLength < item.file.size ? piece(item, from + body.byteLength) : null;
    const call = check(await request('PATCH', item.url, {
      headers: { 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': from },
      body, item, moved: (loaded) => { item.here = from + loaded; draw(); },
    }), 204, 200);
    at = Number(call.getResponseHeader('Upload-Offset'));
    item.here = at;
    item.tries = 0;
    if (at !== from + body.byteLength) next = piece(item, at);
  }
}

// Sends one file until the box has it or says no.
async function work(item) {
  for (;;) {
    try {
      await send(item);
      if (item.given) return;
      const { url } = item;
      item.url = null;
      remember(item);
      item.here = item.file.size;
      show(item, item.known ? 'merged' : 'received');
      if (!item.known) hear(item, url);
      return;
    } catch (error) {
      if (item.given) return;
      if (PINS.has(error.code)) {
        show(item, 'pinNeeded');
        if (await askPin(error.message)) continue;
      }
      if (error instanceof Refused || error.name === 'NotReadableError' || error.name === 'NotFoundError') {
        item.url = null;
        remember(item);
        item.words = error instanceof Refused ? error.message : say('unreadable');
        show(item, 'refusedFile');
        return;
      }
      item.tries += 1;
      show(item, 'interrupted');
      await pause(Math.min(1000 * 2 ** Math.min(item.tries - 1, 4), LONGEST_PAUSE));
    }
  }
}

// What became of it, for whoever sent it, guests too.
async function hear(item, url) {
  for (let tries = 0; tries < 60; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(700 + 200 * tries, 5000)));
    const answer = await fetch(`${url}/verdict`).then((said) => (said.ok ? said.json() : null)).catch(() => null);
    if (!answer || answer.code === 'coming') continue;
    item.words = answer.words;
    item.verdict = answer.code;
    draw();
    return;
  }
}

let wake = null;
let woken = new Promise((resolve) => { wake = resolve; });
const pause = (time) => Promise.race([new Promise((resolve) => setTimeout(resolve, time)), woken]);

// The line is back, or somebody looks: at once.
function hurry() {
  wake();
  woken = new Promise((resolve) => { wake = resolve; });
}

async function begin() {
  if (running >= AT_ONCE) return;
  const item = files.find((each) => each.state === 'waiting');
  if (!item) return;
  running += 1;
  item.state = 'sending';
  await work(item);
  running -= 1;
  draw();
  begin();
}

function show(item, state) {
  item.state = state;
  draw();
}

function giveUp(item) {
  item.given = true;
  item.call?.abort();
  if (item.url) request('DELETE', item.url, { item: {} }).catch(() => {});
  item.url = null;
  remember(item);
  files.splice(files.indexOf(item), 1);
  draw();
}

// Takes these files, `path` with the folders that were dropped before the name.
function take(list) {
  const music = list.filter(({ file }) => !JUNK.test(file.name));
  // The whole choice is said with each of its files, so that the box can ask for all of them at once.
  const all = { files: music.length, bytes: music.reduce((sum, { file }) => sum + file.size, 0) };
  for (const { file, path } of music) {
    number += 1;
    files.push({ number, file, all, path: path.normalize('NFC'), here: 0, state: 'waiting', tries: 0, url: null, words: '', given: false });
  }
  draw();
  for (let each = 0; each < AT_ONCE; each += 1) begin();
  if (list.length && location.hash !== '#arrivals') location.hash = '#arrivals';
}

function make(item) {
  const [name, told] = [el('b', {}, item.file.name), el('span', { class: 'small', role: 'status' })];
  const bar = el('progress', { max: item.file.size || 1, value: 0, 'aria-label': item.file.name });
  const stop = button(say('stop'), () => giveUp(item), { 'aria-label': `${say('stop')}: ${item.file.name}` });
  const node = el('li', { class: 'with-key' }, el('div', { class: 'grow' }, name, told, bar), stop);
  const update = () => {
    node.dataset.state = item.state;
    const ended = ENDED.has(item.state);
    const words = item.words || say(item.state, bytes(item.here), bytes(item.file.size));
    if (told.textContent !== words) told.textContent = words;
    bar.hidden = ended;
    bar.value = item.here;
    stop.hidden = ended;
    node.dataset.verdict = item.verdict ?? '';
    node.classList.toggle('bad', item.state === 'refusedFile' || Boolean(item.verdict) && !FINE.has(item.verdict));
  };
  return { node, update };
}

let drawing = false;

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    keyed($('uploads'), files.slice(0, MOST_SHOWN), (item) => item.number, make);
    $('uploads-more').hidden = files.length <= MOST_SHOWN;
    $('uploads-more').textContent = say('more', files.length - MOST_SHOWN);
  });
}

// Walks a folder that was dropped. readEntries gives a part at a time.
async function walk(entry, before) {
  const path = before + entry.name;
  if (entry.isFile) {
    const file = await new Promise((resolve) => { entry.file(resolve, () => resolve(null)); });
    return file ? [{ file, path }] : [];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve) => { reader.readEntries(resolve, () => resolve([])); });
    if (!some.length) break;
    for (const each of some) found.push(...(await walk(each, `${path}/`)));
    if (found.length > MOST_FILES) break;
  }
  return found;
}

async function drop(event) {
  const data = event.dataTransfer;
  if (!data?.types.includes('Files')) return;
  event.preventDefault();
  document.body.classList.remove('over');
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) {
    take([...data.files].map((file) => ({ file, path: file.name })));
    return;
  }
  const found = [];
  for (const entry of entries) found.push(...(await walk(entry, '')));
  if (found.length > MOST_FILES) toast(say('tooMany', MOST_FILES));
  take(found.slice(0, MOST_FILES));
}

export function start() {
  const chosen = $('choose');
  chosen.addEventListener('change', () => {
    take([...chosen.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
    chosen.value = '';
  });
  $('beam').addEventListener('submit', (event) => event.preventDefault());
  window.addEventListener('dragover', (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    document.body.classList.add('over');
  });
  window.addEventListener('dragleave', (event) => { if (!event.relatedTarget) document.body.classList.remove('over'); });
  window.addEventListener('drop', drop);
  window.addEventListener('online', hurry);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) hurry(); });
  on('away', hurry);
  window.addEventListener('beforeunload', (event) => {
    if (files.some((item) => !ENDED.has(item.state))) event.preventDefault();
  });
}

// Bytes: a piece is held in memory twice.
const PIECE = 4 << 20;
const AT_ONCE = 2;
// Milliseconds without a byte after which a piece is given up and its place asked for.
const STALLED = 15_000;
// Milliseconds after which a call without bytes is given up: the phone may have changed its network.
const ANSWERED = 20_000;
const ASKED = 75_000;
const LONGEST_PAUSE = 10_000;
const MOST_FILES = 2000;
const MOST_SHOWN = 200;
// Refusals that a PIN ends, and verdicts that nobody minds.
const PINS = new Set(['pin_missing', 'wrong_pin', 'locked_out']);
const FINE = new Set(['stored', 'known', 'unpacked', 'locked']);
const ENDED = new Set(['received', 'merged', 'refusedFile']);
// Statuses after which the same may go well: somebody else sends this file, too slow, too many, the box is busy or starts.
const AGAIN = new Set([0, 408, 409, 423, 425, 429, 460, 500, 502, 503, 504]);
// What systems put beside music.
const JUNK = /^(\._.*|\.DS_Store|Thumbs\.db|desktop\.ini)$/i;
