// The queue: play, move by drag and by keys, remove, clear.
import { attempt, box, command, on } from './box.js';
import { $, Rows, clock, coverOf, el, key, picture, scale, shape, spoken, titled } from './parts.js';
import { count, say } from './words.js';

let rows;
// While a finger moves an entry: the order as it is seen, and what moves.
let drag = null;

const entries = () => drag?.order ?? box.queue;

function make(entry) {
  const name = titled(entry);
  const grip = el('span', { class: 'grip', 'aria-hidden': 'true', title: say('drag', name) });
  shape(grip, 'grip');
  const image = el('img', { alt: '', loading: 'lazy', width: 44, height: 44 });
  const words = el('span', { class: 'words' }, el('b', {}, name), el('i', {}, entry.artist ?? ''));
  const play = el('button', { class: 'row-main', onclick: () => command({ play: entry.id }) }, spoken(say('play')), image, words);
  const length = el('span', { class: 'length' }, entry.duration_ms ? clock(entry.duration_ms) : '');
  const up = key('up', say('up', name), () => move(entry, -1), { class: 'key small up' });
  const down = key('down', say('down', name), () => move(entry, 1), { class: 'key small down' });
  const remove = key('remove', say('removeThis', name), () => command({ remove: [entry.id] }));
  const node = el('li', { class: 'entry', 'data-entry': entry.id }, grip, play, length, up, down, remove);
  grip.addEventListener('pointerdown', (event) => lift(event, entry, grip));
  picture(image, coverOf(entry.track, 160));
  node.update = (now, index) => {
    node.classList.toggle('current', now.id === box.state?.current);
    if (now.id === box.state?.current) play.setAttribute('aria-current', 'true');
    else play.removeAttribute('aria-current');
    node.classList.toggle('lifted', drag?.id === now.id);
    // A key that does nothing any more gives its focus to the other one.
    const [first, last] = [index === 0, index === entries().length - 1];
    const had = document.activeElement;
    [up.disabled, down.disabled] = [false, false];
    if (had === up && first) (last ? remove : down).focus();
    if (had === down && last) (first ? remove : up).focus();
    [up.disabled, down.disabled] = [first, last];
  };
  return node;
}

// Moves an entry by one place; the focus stays on its key.
async function move(entry, by) {
  const from = box.queue.findIndex((each) => each.id === entry.id);
  const to = from + by;
  if (from < 0 || to < 0 || to >= box.queue.length) return;
  if (await command({ move: { ids: [entry.id], to } })) {
    $('queue-count').textContent = say('movedTo', titled(entry), to + 1, box.queue.length);
  }
}

function lift(event, entry, grip) {
  if (event.button !== 0) return;
  event.preventDefault();
  grip.setPointerCapture(event.pointerId);
  drag = { id: entry.id, order: [...box.queue], from: box.queue.findIndex((each) => each.id === entry.id) };
  const list = $('queue');
  const over = (point) => {
    const place = Math.floor((point.clientY - list.getBoundingClientRect().top) / (HEIGHT * scale()));
    const to = Math.max(0, Math.min(drag.order.length - 1, place));
    const at = drag.order.findIndex((each) => each.id === drag.id);
    if (at >= 0 && to !== at) {
      drag.order.splice(to, 0, ...drag.order.splice(at, 1));
      rows.set(drag.order);
    }
    const edge = point.clientY < 80 ? -1 : point.clientY > window.innerHeight - 120 ? 1 : 0;
    if (edge) window.scrollBy(0, edge * 12);
  };
  const drop = async (kept) => {
    grip.removeEventListener('pointermove', over);
    const { id, from, order } = drag;
    const to = order.findIndex((each) => each.id === id);
    if (kept && to !== from) await command({ move: { ids: [id], to } });
    drag = null;
    showQueue();
  };
  grip.addEventListener('pointermove', over);
  grip.addEventListener('lostpointercapture', () => drop(true), { once: true });
  rows.draw();
}

function showQueue() {
  const list = entries();
  $('queue-count').textContent = list.length ? count(list.length) : '';
  $('queue-empty').hidden = list.length > 0;
  $('queue-empty').textContent = say('queueEmpty');
  $('clear').hidden = list.length === 0;
  rows.set(list);
}

export function start() {
  rows = new Rows($('queue'), { height: () => HEIGHT * scale(), make, name: (entry) => entry.id, load: async () => ({ total: 0, items: [] }) });
  $('clear').addEventListener('click', async () => {
    const before = box.queue.map((entry) => entry.id).length;
    if (before) await attempt('POST', '/api/command', 'clear');
  });
  on('queue', () => { if (!drag) showQueue(); });
  on('state', () => { if (!$('view-now').hidden) rows.draw(); });
}

export function show() {
  rows.draw();
}

const HEIGHT = 60;
