// Starts the page: words, symbols, views, and the stream of the box.
import { $, shape } from './parts.js';
import { say, translate } from './words.js';
import { box, identify, on } from './box.js';
import * as now from './now.js';
import * as queue from './queue.js';
import * as library from './library.js';
import * as beam from './beam.js';
import * as arrivals from './arrivals.js';
import * as neighbours from './neighbours.js';
import * as purchases from './purchases.js';
import * as settings from './settings.js';
import * as welcome from './welcome.js';

const VIEWS = { now: queue, library, arrivals, neighbours, purchases, settings };

let first = true;

// Shows the view that the address names.
function show() {
  const [name, ...rest] = location.hash.slice(1).split('/').map(decodeURIComponent);
  const chosen = name in VIEWS ? name : 'now';
  for (const view of Object.keys(VIEWS)) $(`view-${view}`).hidden = view !== chosen;
  for (const link of document.querySelectorAll('#nav a')) {
    if (link.hash === `#${chosen}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.body.dataset.view = chosen;
  window.scrollTo(0, 0);
  VIEWS[chosen].show?.(...rest);
  if (!first && chosen !== 'now') $(`${chosen}-h`).focus({ preventScroll: true });
  first = false;
}

translate();
for (const node of document.querySelectorAll('[data-icon]')) shape(node, node.dataset.icon);
for (const part of [now, queue, library, beam, arrivals, neighbours, purchases, settings, welcome]) part.start();

on('me', () => {
  $('name').textContent = box.me.name;
  document.title = box.me.name;
});
on('away', () => {
  $('away').textContent = box.away ? say('away') : '';
  $('away').hidden = !box.away;
  document.body.classList.toggle('away', box.away);
});
document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  $('main').focus();
});
window.addEventListener('hashchange', show);
show();
identify();
