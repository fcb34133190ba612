// What was bought: from whom and when; what is locked, and what to do about it.
import { ask, command, isMember, on } from './box.js';
import { $, Rows, coverOf, el, key, picture, pressed, scale, shape, titled } from './parts.js';
import { date, lock, say } from './words.js';

let rows;
let only = '';

function make(bought) {
  const image = el('img', { alt: '', loading: 'lazy', width: 44, height: 44 });
  picture(image, coverOf(bought.id, 160));
  const name = titled(bought);
  const where = [bought.store_name, bought.at ? date(bought.at) : ''].filter(Boolean).join(' · ');
  const words = el('span', { class: 'words' }, el('b', {}, name), el('i', {}, [bought.artist, bought.album].filter(Boolean).join(' — ')), el('i', {}, where));
  const node = el('li', { class: 'entry bought' }, image, words);
  if (bought.locked && bought.protection) {
    const [headline, advice] = lock(bought.protection);
    node.classList.add('off');
    const mark = el('span', { class: 'mark', 'aria-hidden': 'true' });
    shape(mark, 'lock');
    node.append(mark, el('p', { class: 'advice' }, el('b', {}, headline), el('span', {}, `${say('whatToDo')}: ${advice}`)));
  } else if (!bought.track) {
    words.append(el('i', {}, say('fileAway')));
  } else {
    if (bought.unlocked) words.append(el('i', {}, say('unlocked')));
    node.append(key('play', say('playThis', name), () => command({ add: { entries: [{ what: { shelf: bought.id } }], at: 'next', play: true } })));
  }
  return node;
}

function refresh() {
  if (!isMember()) {
    rows.set([]);
    $('purchases-count').textContent = '';
    $('purchases-empty').hidden = false;
    $('purchases-empty').textContent = say('pairFirst');
    return;
  }
  const locked = only;
  rows.reset((offset, limit) => ask('GET', `/api/purchases?offset=${offset}&limit=${limit}${locked ? `&locked=${locked}` : ''}`));
}

function loaded(answer) {
  $('purchases-count').textContent = answer.total ? String(answer.total) : '';
  $('purchases-empty').hidden = answer.total > 0;
  $('purchases-empty').textContent = say('purchasesEmpty');
}

export function show() {
  pressed($('purchase-tabs').children, (tab) => tab.dataset.locked === only);
  refresh();
}

export function start() {
  rows = new Rows($('purchase-rows'), {
    make,
    loaded,
    load: async () => ({ total: 0, items: [] }),
    name: (bought, index) => `${index} ${bought.id} ${bought.title}`,
    // Rows are of one height, so that thousands can be scrolled: room for the advice in the narrowest window.
    height: (width) => (width < 600 ? 232 * scale() * Math.max(1, scale() * 0.8) : 148 * scale()),
  });
  for (const tab of $('purchase-tabs').children) {
    tab.addEventListener('click', () => {
      only = tab.dataset.locked;
      show();
    });
  }
  on('me', () => { if (!$('view-purchases').hidden) show(); });
  on('library', () => { if (!$('view-purchases').hidden) refresh(); });
}
