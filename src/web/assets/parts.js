// What the views are built of: nodes, symbols, lists of any length. Text goes in as text, never as markup.
import { say } from './words.js';

export const $ = (id) => document.getElementById(id);

// Makes a node. `on…` are listeners, true is an attribute without a value, null and false are left out.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const SHAPES = {
  play: 'M8 5v14l11-7z',
  pause: 'M7 5h4v14H7zM13 5h4v14h-4z',
  next: 'M6 5v14l9-7zM16 5h2.5v14H16z',
  previous: 'M18 5v14l-9-7zM5.5 5H8v14H5.5z',
  shuffle: 'M4 6h3.2l3 4.2-1.3 1.7L6.2 8H4zM4 18h3.2l8.4-11H17v2.1l4-3.1-4-3v2h-2.4L6.2 16H4zM13 14.2l1.3-1.8 2 2.6h.7v-2l4 3.1-4 3v-2h-1.7z',
  repeat: 'M7 6h10V3l4 4-4 4V8H9v3H7zM17 18H7v3l-4-4 4-4v3h8v-3h2z',
  once: 'M7 6h10V3l4 4-4 4V8H9v3H7zM17 18H7v3l-4-4 4-4v3h8v-3h2zM11 10h2v5h-2z',
  sound: 'M4 9v6h4l5 4V5L8 9zM15.5 8.5a5 5 0 0 1 0 7l1.4 1.4a7 7 0 0 0 0-9.8z',
  mute: 'M4 9v6h4l5 4V5L8 9zM16 9.4 14.6 10.8l1.7 1.7-1.7 1.7L16 15.6l1.7-1.7 1.7 1.7 1.4-1.4-1.7-1.7 1.7-1.7L19.4 9.4l-1.7 1.7z',
  up: 'M12 7l7 7-1.5 1.5L12 10l-5.5 5.5L5 14z',
  down: 'M12 17l-7-7 1.5-1.5L12 14l5.5-5.5L19 10z',
  remove: 'M6.5 5 12 10.5 17.5 5 19 6.5 13.5 12l5.5 5.5-1.5 1.5L12 13.5 6.5 19 5 17.5l5.5-5.5L5 6.5z',
  grip: 'M8 6h2.5v2.5H8zM13.5 6H16v2.5h-2.5zM8 11h2.5v2.5H8zM13.5 11H16v2.5h-2.5zM8 16h2.5v2.5H8zM13.5 16H16v2.5h-2.5z',
  add: 'M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z',
  disc: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 2a7 7 0 1 1 0 14 7 7 0 0 1 0-14zm0 4.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z',
  shelf: 'M4 4h3v16H4zM9 4h3v16H9zM14.2 4.8l2.9-.8 4 15.4-2.9.8z',
  beam: 'M11 3h2v9.2l3.3-3.3 1.4 1.4L12 16l-5.7-5.7 1.4-1.4 3.3 3.3zM4 18h16v2H4z',
  phone: 'M7 2h10a1 1 0 0 1 1 1v18a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1V3a1 1 0 0 1 1-1zm1 3v12h8V5zm3 13.5v1.5h2v-1.5z',
  bag: 'M8 8V7a4 4 0 0 1 8 0v1h3l1 13H4L5 8zm2 0h4V7a2 2 0 0 0-4 0zm-3.2 2-.7 9h11.8l-.7-9H16v2h-2v-2h-4v2H8v-2z',
  edit: 'M4 16.5V20h3.5L18 9.5 14.5 6zM15.6 4.9l3.5 3.5 1.3-1.3a1.2 1.2 0 0 0 0-1.7l-1.8-1.8a1.2 1.2 0 0 0-1.7 0z',
  gear: 'M10.5 3h3l.5 2.4 1.7.8 2.1-1.3 2.1 2.1-1.3 2.1.7 1.7 2.7.7v3l-2.6.5-.8 1.7 1.3 2.1-2.1 2.1-2.1-1.3-1.7.7-.5 2.7h-3l-.5-2.6-1.7-.8-2.1 1.3-2.1-2.1 1.3-2.1-.7-1.7L2 14.500v-3l2.400-.5.8-1.700-1.300-2.100L6 5.100l2.100 1.300 1.700-.7zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z',
  lock: 'M7 10V8a5 5 0 0 1 10 0v2h1v11H6V10zm2 0h6V8a3 3 0 0 0-6 0z',
};

// Gives a node a symbol, in place of the one it has.
export function shape(node, name) {
  if (node.dataset.shape === name) return;
  node.dataset.shape = name;
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', SHAPES[name]);
  svg.append(path);
  node.querySelector('svg')?.remove();
  node.prepend(svg);
}

// A key with a symbol; its name is for the screen reader.
export function key(symbol, name, press, attributes = {}) {
  const node = el('button', { class: 'key small', 'aria-label': name, title: name, onclick: press, ...attributes });
  shape(node, symbol);
  return node;
}

// Words that only the screen reader says, before what is seen.
export const spoken = (words) => el('span', { class: 'spoken' }, `${words} `);

export const button = (words, press, attributes = {}) => el('button', { onclick: press, ...attributes }, words);

// 65000 → 1:05
export function clock(ms) {
  const all = Math.max(0, Math.floor((ms ?? 0) / 1000));
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (number) => String(number).padStart(2, '0');
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

export function bytes(count) {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} GB`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB`;
  return `${Math.ceil(count / 1e3)} kB`;
}

export const titled = (item) => item?.title || say('untitled');
export const coverOf = (track, size = 300) => (track ? `/api/art/${track}/${size}.jpg?or=disc` : '/assets/disc.svg');

export function picture(node, address) {
  if (node.getAttribute('src') !== address) node.src = address;
}

// A switch of several buttons: the chosen one is pressed.
export function pressed(buttons, chosen) {
  for (const each of buttons) each.setAttribute('aria-pressed', String(chosen(each)));
}

// How large the letters are that whoever looks has chosen; rows are as high.
export const scale = () => Math.max(1, parseFloat(getComputedStyle(document.documentElement).fontSize) / 16);

// Where the focus goes when what had it is taken away by the box: the same key of the neighbour, else the content.
function refocus(gone, next) {
  if (!gone.contains(document.activeElement)) return () => {};
  const shape = document.activeElement.dataset.shape;
  return () => {
    const same = shape && next?.querySelector(`[data-shape=${shape}]:not(:disabled)`);
    (same || next?.querySelector('button:not(:disabled), a, input') || $('main')).focus({ preventScroll: true });
  };
}

// Shows a short list anew without losing what has the focus: `make` gives { node, update } for what was not there.
export function keyed(host, items, name, make) {
  host.parts ??= new Map();
  const left = new Map(host.parts);
  items.forEach((item, index) => {
    const id = name(item);
    left.delete(id);
    if (!host.parts.has(id)) host.parts.set(id, make(item));
    const part = host.parts.get(id);
    part.update(item);
    if (host.children[index] !== part.node) host.insertBefore(part.node, host.children[index] ?? null);
  });
  for (const [id, part] of left) {
    const focus = refocus(part.node, part.node.nextElementSibling ?? part.node.previousElementSibling);
    part.node.remove();
    host.parts.delete(id);
    focus();
  }
}

// A list of any length in the page's own scroll: only the rows that are seen exist, and only their pages are asked for.
export class Rows {
  // height(width): pixels of a row; columns(width); make(item, index): a node; load(offset, limit): { total, items };
  // name(item): by which a node is kept.
  constructor(host, { height = () => 64, columns = () => 1, make, load, name, loaded = () => {} }) {
    Object.assign(this, { host, height, columns, make, load, name, loaded });
    this.total = 0;
    this.items = new Map();
    this.nodes = new Map();
    this.asked = new Set();
    this.epoch = 0;
    const draw = () => this.soon();
    window.addEventListener('scroll', draw, { passive: true });
    window.addEventListener('resize', draw);
  }

  // Forgets what was loaded; what is seen stays until the new is there.
  async reset(load = this.load) {
    this.load = load;
    this.epoch += 1;
    this.asked.clear();
    this.fresh = true;
    await this.page(0);
  }

  // Shows these items, all of them known.
  set(items) {
    this.total = items.length;
    this.items = new Map(items.map((item, index) => [index, item]));
    this.draw();
  }

  async page(number) {
    if (this.asked.has(number)) return;
    this.asked.add(number);
    const epoch = this.epoch;
    let answer;
    try {
      answer = await this.load(number * PAGE, PAGE);
    } catch {
      this.asked.delete(number);
      return;
    }
    if (epoch !== this.epoch) return;
    const held = this.fresh ? this.held() : null;
    if (this.fresh) {
      this.fresh = false;
      this.items.clear();
      for (const node of this.nodes.values()) node.remove();
      this.nodes.clear();
    }
    this.total = answer.total;
    answer.items.forEach((item, index) => this.items.set(number * PAGE + index, item));
    this.loaded(answer);
    this.draw();
    this.giveBack(held);
  }

  // What in which row has the focus, before the rows are made anew.
  held() {
    const node = [...this.nodes.values()].find((each) => each.contains(document.activeElement));
    return node && { index: node.index, at: [...node.querySelectorAll('button, a')].indexOf(document.activeElement) };
  }

  // Gives the focus to the same of the row that stands there now.
  giveBack(held) {
    if (!held || document.activeElement !== document.body) return;
    const at = Math.min(held.index, this.total - 1);
    const node = [...this.nodes.values()].find((each) => each.index === at);
    const all = node ? [...node.querySelectorAll('button, a')] : [];
    const same = all[held.at]?.disabled ? null : all[held.at];
    (same ?? all.find((each) => !each.disabled) ?? $('main')).focus({ preventScroll: true });
  }

  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    const { host } = this;
    const width = host.clientWidth;
    const columns = Math.max(1, this.columns(width));
    const height = this.height(width / columns);
    host.style.height = `${Math.ceil(this.total / columns) * height}px`;
    if (!width) return;
    const top = -host.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / height) - SPARE) * columns;
    const last = Math.min(this.total, (Math.ceil((top + window.innerHeight) / height) + SPARE) * columns);
    const seen = new Set();
    for (let index = first; index < last; index += 1) {
      const item = this.items.get(index);
      if (!item) {
        this.page(Math.floor(index / PAGE));
        continue;
      }
      const id = this.name(item, index);
      seen.add(id);
      let node = this.nodes.get(id);
      if (!node) {
        node = this.make(item, index);
        this.nodes.set(id, node);
        host.append(node);
      }
      node.index = index;
      node.style.width = `${100 / columns}%`;
      node.style.height = `${height}px`;
      node.style.left = `${((index % columns) * 100) / columns}%`;
      node.style.top = `${Math.floor(index / columns) * height}px`;
      node.setAttribute('aria-setsize', this.total);
      node.setAttribute('aria-posinset', index + 1);
      node.update?.(item, index);
    }
    const held = this.held();
    for (const [id, node] of this.nodes) {
      if (seen.has(id) || node.contains(document.activeElement) && this.items.has(node.index) && this.name(this.items.get(node.index), node.index) === id) continue;
      node.remove();
      this.nodes.delete(id);
    }
    this.order();
    this.giveBack(held);
  }

  // The order of the nodes is that of the list, for the keyboard and the screen reader. What has the focus or is under a
  // finger is not taken out for it; the others are put around it.
  order() {
    const sorted = [...this.nodes.values()].sort((a, b) => a.index - b.index);
    if (sorted.every((node, place) => this.host.children[place] === node)) return;
    const kept = sorted.find((node) => node.classList.contains('lifted')) ?? sorted.find((node) => node.contains(document.activeElement));
    let before = Boolean(kept);
    for (const node of sorted) {
      if (node === kept) before = false;
      else if (before) this.host.insertBefore(node, kept);
      else this.host.append(node);
    }
  }
}

const PAGE = 60;
const SPARE = 4;
