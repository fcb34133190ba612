// The shelf: albums, artists, songs, what is new, search. Every list is of any length.
import { ask, box, command, isOwner, on, toast } from './box.js';
import { correct } from './corrections.js';
import { $, Rows, button, clock, coverOf, el, key, picture, pressed, scale, shape, spoken, titled } from './parts.js';
import { sendButton, sendKey } from './send.js';
import { count, lock, say } from './words.js';

let rows;
// What is shown: a list (albums, artists, tracks, recent), something opened in it, or what was searched for.
let shown = { list: 'albums', open: null, query: '' };

const CARDS = new Set(['albums']);
const cards = () => CARDS.has(shown.list) && !shown.open && !shown.query;

const entry = (id) => ({ what: { shelf: id } });

// All songs of a list, at most as many as a queue holds.
async function songs(path) {
  const all = [];
  for (;;) {
    const page = await ask('GET', `${path}&offset=${all.length}&limit=1000`);
    all.push(...page.items.filter((track) => track.playable && !track.offline));
    if (!page.items.length || all.length >= Math.min(page.total, 10_000)) return all;
  }
}

async function enqueue(ids, name, play) {
  if (!ids.length) return;
  const done = await command({ add: { entries: ids.map(entry), at: play ? 'next' : 'end', play } });
  if (done && !play) toast(say('added', name));
}

async function enqueueAll(path, name, play) {
  try {
    await enqueue((await songs(path)).map((track) => track.id), name, play);
  } catch (error) {
    toast(error.message);
  }
}

function makeTrack(track) {
  const name = titled(track);
  const image = el('img', { alt: '', loading: 'lazy', width: 44, height: 44 });
  picture(image, coverOf(track.id, 160));
  const under = [track.artist, shown.open ? null : track.album].filter(Boolean).join(' — ');
  const words = el('span', { class: 'words' }, el('b', {}, name), el('i', {}, under));
  const usable = track.playable && !track.offline;
  if (!usable) {
    const why = track.offline ? say('offline') : track.protection ? lock(track.protection)[0] : say('locked');
    words.lastChild.textContent = why;
    const mark = el('span', { class: 'mark', 'aria-hidden': 'true' });
    shape(mark, 'lock');
    const link = el('a', { class: 'row-main', href: '#purchases' }, image, words);
    return el('li', { class: 'entry off' }, link, mark);
  }
  const play = el('button', { class: 'row-main', 'data-track': track.id, onclick: () => enqueue([track.id], name, true) }, spoken(say('play')), image, words);
  return el('li', { class: 'entry' }, play, el('span', { class: 'length' }, clock(track.duration_ms)),
    isOwner() ? key('edit', say('correctThis', name), () => correct(track)) : null,
    sendKey({ tracks: [track.id] }, name), key('add', say('addThis', name), () => enqueue([track.id], name, false)));
}

function group(kind, item) {
  const image = el('img', { alt: '', loading: 'lazy', width: 300, height: 300 });
  picture(image, coverOf(item.example, cards() ? 300 : 160));
  const under = kind === 'album' ? (item.artist ?? '') : count(item.tracks);
  const words = el('span', { class: 'words' }, el('b', {}, item.name || say('untitled')), el('i', {}, under));
  const link = el('a', { class: cards() ? 'card' : 'row-main', href: `#library/${kind}/${item.id}` }, image, words);
  return el('li', { class: cards() ? 'tile' : 'entry' }, link);
}

function make(item) {
  if (item.kind) return group(item.kind, item);
  return makeTrack(item);
}

// Names the list that is shown: a function of (offset, limit).
function source() {
  const page = (path, kind) => async (offset, limit) => {
    const answer = await ask('GET', `${path}${path.includes('?') ? '&' : '?'}offset=${offset}&limit=${limit}`);
    if (kind) for (const item of answer.items) item.kind = kind;
    return answer;
  };
  if (shown.open) {
    const [kind, id] = shown.open;
    if (kind === 'playlist' && !listed.has(id)) return named(id, page(inside(kind, id)));
    return page(inside(kind, id));
  }
  if (shown.query) return searched(shown.query);
  if (shown.list === 'albums') return page('/api/library/albums', 'album');
  if (shown.list === 'artists') return page('/api/library/artists', 'artist');
  if (shown.list === 'playlists') return listing(page('/api/library/playlists', 'playlist'));
  return page(`/api/library/${shown.list}`);
}

// Songs of something, a playlist's in its own order.
const inside = (kind, id) => `/api/library/tracks?in=${encodeURIComponent(`${kind}:${id}`)}${kind === 'playlist' ? '&sort=listed' : ''}`;

// What playlists are called: their songs do not tell.
const listed = new Map();

const listing = (load) => async (offset, limit) => {
  const answer = await load(offset, limit);
  for (const item of answer.items) listed.set(item.id, item.name);
  return answer;
};

const named = (id, load) => async (offset, limit) => {
  if (!listed.has(id)) {
    const all = await ask('GET', '/api/library/playlists?limit=1000');
    for (const item of all.items) listed.set(item.id, item.name);
  }
  return load(offset, limit);
};

// What is found: artists and albums first, then the songs, in one list.
function searched(query) {
  let before = [];
  return async (offset, limit) => {
    const from = Math.max(0, offset - before.length);
    const answer = await ask('GET', `/api/library/search?q=${encodeURIComponent(query)}&offset=${from}&limit=${limit}`);
    if (offset > 0) return { total: answer.total + before.length, items: answer.items };
    before = [...answer.artists.map((item) => ({ ...item, kind: 'artist' })), ...answer.albums.map((item) => ({ ...item, kind: 'album' }))];
    const items = [...before, ...answer.items].slice(0, limit);
    return { total: answer.total + before.length, items };
  };
}

function showHead(answer) {
  const head = $('library-head');
  head.replaceChildren();
  if (!shown.open) return;
  const [kind, id] = shown.open;
  const first = answer.items[0];
  const name = (kind === 'playlist' ? listed.get(id) : kind === 'album' ? first?.album : first?.artist) ?? '';
  const path = inside(kind, id);
  const image = el('img', { class: 'cover', alt: '', width: 300, height: 300 });
  picture(image, coverOf(first?.id));
  const artist = kind === 'album' ? (first?.album_artist ?? first?.artist ?? '') : '';
  head.append(
    el('a', { class: 'back', href: '#library' }, `‹ ${say('back')}`),
    el('div', { class: 'opened' }, image, el('div', {},
      el('h2', {}, name), el('p', { class: 'artist' }, artist), el('p', { class: 'small' }, count(answer.total)),
      button(say('play'), () => enqueueAll(path, name, true), { class: 'main' }), ' ',
      button(say('add'), () => enqueueAll(path, name, false)), ' ',
      kind === 'artist' || !answer.total ? null : sendButton({ [kind]: id }, name))),
  );
}

// The ways in have a picture each.
function sketch(name) {
  const mark = el('span', { class: 'sketch', 'aria-hidden': 'true' });
  shape(mark, { way0: 'beam', way1: 'phone', way2: 'disc' }[name]);
  return mark;
}

export function ways() {
  const way = (name, told) => el('li', { class: name }, sketch(name), el('b', {}, say(name)), el('span', {}, say(`${name}how`, told)));
  return el('div', { class: 'ways' }, el('h2', {}, say('emptyShelf')),
    el('ol', {}, way('way0'), way('way1', box.me.name), way('way2')));
}

function loaded(answer) {
  const { total } = answer;
  $('library-count').textContent = shown.query ? say('found', total) : '';
  const bare = total === 0;
  const lists = shown.list === 'playlists' && !shown.query && !shown.open;
  $('library-empty').hidden = !bare || !(shown.query || lists);
  $('library-empty').textContent = say(lists ? 'noPlaylists' : 'nothingFound');
  if (answer.items.length || bare) showHeadOnce(answer);
  if (bare && !shown.query && !shown.open && !lists) $('library-head').replaceChildren(ways());
}

let headed = '';
function showHeadOnce(answer) {
  const name = JSON.stringify([shown.open, shown.list, shown.query, answer.total]);
  if (headed === name) return;
  headed = name;
  showHead(answer);
}

let drawn = '';
function refresh() {
  const name = JSON.stringify(shown);
  if (drawn !== name) headed = '';
  drawn = name;
  $('library-rows').classList.toggle('tiles', cards());
  pressed($('tabs').children, (tab) => tab.dataset.list === shown.list && !shown.query);
  return rows.reset(source());
}

// Called with what the address says behind `#library/`.
export function show(kind, id) {
  const open = kind && id ? [kind, id] : null;
  const changed = JSON.stringify(open) !== JSON.stringify(shown.open);
  shown.open = open;
  if (open && changed) { shown.query = ''; $('search').value = ''; }
  if (changed || drawn === '' || stale) { stale = false; refresh(); } else rows.draw();
}

let stale = false;
let typing = 0;

export function start() {
  rows = new Rows($('library-rows'), {
    make,
    loaded,
    load: async () => ({ total: 0, items: [] }),
    name: (item, index) => `${item.kind ?? 'track'} ${item.id} ${item.kind ? '' : index}`,
    columns: (width) => (cards() ? Math.max(2, Math.floor(width / 190)) : 1),
    height: (width) => (cards() ? width + 52 * scale() : 60 * scale()),
  });
  for (const tab of $('tabs').children) {
    tab.addEventListener('click', () => {
      shown = { list: tab.dataset.list, open: null, query: '' };
      $('search').value = '';
      if (location.hash !== '#library') history.replaceState(null, '', '#library');
      refresh();
    });
  }
  const search = () => {
    const query = $('search').value.trim();
    if (query === shown.query) return;
    shown = { ...shown, open: null, query };
    if (location.hash !== '#library') history.replaceState(null, '', '#library');
    refresh();
  };
  // A word that is still being composed (kana before kanji) is not searched for.
  $('search').addEventListener('input', (event) => {
    clearTimeout(typing);
    if (!event.isComposing) typing = setTimeout(search, 200);
  });
  $('search').addEventListener('compositionend', () => { clearTimeout(typing); typing = setTimeout(search, 200); });
  $('search-form').addEventListener('submit', (event) => { event.preventDefault(); clearTimeout(typing); search(); });
  on('library', () => {
    if ($('view-library').hidden) stale = true;
    else { headed = ''; refresh(); }
  });
}
