// Who wants to send, what came, what became of it, and taking it back. Questions are shown over every view.
import { attempt, box, isMember, on, toast } from './box.js';
import { $, button, bytes, el, keyed } from './parts.js';
import { count, many, noticed, said, say, time, why } from './words.js';

const now = () => Date.now() / 1000;

function makeAsk(request) {
  const head = el('b', {});
  const names = el('span', { class: 'small' });
  const answer = (what) => () => attempt('POST', `/api/offers/${request.id}/${what}`);
  const node = el('div', { class: 'ask' }, el('p', {}, head, el('br'), names),
    el('p', { class: 'buttons' }, button(say('yes'), answer('accept'), { class: 'main' }), ' ', button(say('no'), answer('reject'))));
  const update = (asked) => {
    head.textContent = say('wantsToSend', asked.from, count(asked.files));
    const rest = asked.files - asked.names.length;
    names.textContent = [...asked.names.slice(0, 3), ...(rest > 0 ? [say('more', rest)] : []), bytes(asked.bytes)].join(', ');
  };
  return { node, update };
}

function makeBeam() {
  const head = el('b', {});
  const told = el('span', { class: 'small' });
  const bar = el('progress', { max: 1, value: 0 });
  const undo = button(say('undo'), () => takeBack(undo.beam));
  const node = el('li', {}, el('div', { class: 'grow' }, head, told, bar), undo);
  const update = (beam) => {
    undo.beam = beam.id;
    head.textContent = say('from', beam.from);
    const parts = [time(beam.at)];
    if (beam.state === 'coming') parts.push(say('coming', beam.received, beam.files));
    else if (beam.files) parts.push(say('came', count(beam.stored)));
    if (beam.known_count) parts.push(many('known', beam.known_count));
    if (beam.refused) parts.push(many('refused', beam.refused));
    if (beam.left_out_count) {
      const named = (beam.left_out ?? []).slice(0, 3).map((one) => `${one.name} (${why(one)})`).join(', ');
      parts.push(many('leftOut', beam.left_out_count, named));
    }
    if (beam.state === 'undone') parts.push(say('undone'));
    told.textContent = parts.join(' · ');
    bar.hidden = beam.state !== 'coming';
    bar.value = beam.files ? beam.received / beam.files : 0;
    bar.setAttribute('aria-label', head.textContent);
    undo.hidden = !beam.undo_until || beam.undo_until < now() || beam.state === 'undone';
    undo.setAttribute('aria-label', `${say('undo')}: ${head.textContent}, ${time(beam.at)}`);
  };
  return { node, update };
}

async function takeBack(id) {
  const answer = await attempt('POST', `/api/beam/${id}/undo`);
  if (answer) toast(say('gone', count(answer.gone)));
}

function verdict(arrival) {
  const { verdict: told, waits, size, received } = arrival;
  if (!told && waits) return said(waits);
  if (!told) return size && received < size ? say('percent', Math.floor((received / size) * 100)) : say('waiting');
  if (told.verdict === 'refused') return why(told);
  if (told.verdict === 'read') return said(told.told);
  if (told.verdict === 'locked') return say('lockedFile');
  return say(told.verdict === 'merged' ? 'merged' : 'stored');
}

function makeFile() {
  const name = el('b', {});
  const told = el('span', { class: 'small' });
  const node = el('li', {}, name, told);
  const update = (arrival) => {
    name.textContent = arrival.name.split('/').pop();
    told.textContent = [arrival.from, verdict(arrival)].filter(Boolean).join(' · ');
    node.classList.toggle('bad', arrival.verdict?.verdict === 'refused');
  };
  return { node, update };
}

function makeNotice(notice) {
  const words = el('b', {}, noticed(notice));
  return { node: el('li', {}, words, el('span', { class: 'small' }, time(Date.parse(notice.at) / 1000))), update() {} };
}

// The window in which nobody is asked for.
function showWindow() {
  const host = $('window');
  const until = box.board?.window ?? null;
  const name = `${box.me.right} ${until}`;
  if (host.dataset.shown === name) return;
  host.dataset.shown = name;
  host.replaceChildren();
  if (!isMember()) {
    host.append(el('p', { class: 'empty' }, say('pairFirst'), ' ', el('a', { href: '#neighbours' }, say('pairThis'))));
    return;
  }
  const press = until
    ? button(say('closeWindow'), () => attempt('DELETE', '/api/beam'))
    : button(say('openWindow'), () => attempt('POST', '/api/beam'));
  host.append(el('p', { class: 'note' }, el('span', {}, until ? say('windowOpen', time(until)) : say('windowClosed')), ' ', press));
}

function showBoard() {
  const { board } = box;
  keyed($('asks'), board?.asks ?? [], (ask) => `ask ${ask.id}`, makeAsk);
  keyed($('beams'), board?.beams ?? [], (beam) => `beam ${beam.id}`, makeBeam);
  const files = (board?.arrivals ?? []).slice(0, MOST_FILES);
  keyed($('files'), files, (file) => `file ${file.id}`, makeFile);
  $('files-h').hidden = files.length === 0;
  $('arrivals-empty').hidden = !isMember() || Boolean(files.length || board?.beams.length);
  $('arrivals-empty').textContent = say('arrivalsEmpty');
  const waiting = board?.asks.length ?? 0;
  document.querySelector('#nav a[href="#arrivals"]').classList.toggle('dot', waiting > 0);
  showWindow();
}

let newest = null;

function showNotices() {
  const notices = [...(box.state?.notices ?? [])].reverse();
  keyed($('notices'), notices.slice(0, 12), (notice) => `notice ${notice.number}`, makeNotice);
  $('notices-h').hidden = notices.length === 0;
  const last = notices[0]?.number ?? 0;
  if (newest !== null && last > newest) toast(noticed(notices[0]));
  newest = last;
  // Without the right to answer, the page says at least that somebody waits.
  const waits = !isMember() && (box.state?.offers ?? 0) > 0;
  if (waits && !$('asks').dataset.hint) toast(say('someoneWaits'));
  $('asks').dataset.hint = waits ? 'yes' : '';
}

export function start() {
  on('board', showBoard);
  on('me', showBoard);
  on('state', showNotices);
  setInterval(showBoard, 30_000);
}

const MOST_FILES = 60;

