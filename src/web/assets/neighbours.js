// Phones and players on the network, and which devices are paired.
import { ask, attempt, box, identify, isMember, isOwner, on, toast } from './box.js';
import { $, button, bytes, clock, el, key, keyed } from './parts.js';
import { landing } from './settings.js';
import { count, said, say } from './words.js';

function told(state) {
  const about = (found) => [say('looked', found.new, found.tracks, `${bytes(found.bytes)}, ${clock(found.duration)}`), found.left ? say('left', found.left) : '']
    .filter(Boolean).join(' · ');
  switch (state.state) {
    case 'reading': return say('reading');
    case 'ready': return say('ready');
    case 'looking': return say('looking');
    case 'looked': return about(state);
    case 'pulling': return say('pulling', state.done, state.total);
    case 'waiting': return said(state.reason);
    case 'pulled': return say('pulled', count(state.tracks));
    case 'unusable': return say('unusable', said(state.reason));
    default: return state.state;
  }
}

function make(neighbour) {
  const path = `/api/neighbours/${encodeURIComponent(neighbour.id)}/`;
  // What a phone that shares by a link asks for.
  const pin = el('input', { name: 'pin', autocomplete: 'off', inputmode: 'numeric', maxlength: 64, 'aria-label': say('pin'), placeholder: say('pin'), hidden: true });
  const act = (what) => () => attempt('POST', path + what, !pin.hidden && pin.value ? { pin: pin.value } : undefined);
  const [name, model, state] = [el('b', {}), el('span', { class: 'small' }), el('span', { class: 'small state' })];
  const bar = el('progress', { max: 1, value: 0, 'aria-label': neighbour.name });
  const [look, pull] = [button(say('look'), act('look')), button(say('pull'), act('pull'), { class: 'main' })];
  const consent = ['ask', 'always', 'never'].map((what) =>
    button(say({ ask: 'askFirst', always: 'always', never: 'never' }[what]), act(what), { 'data-consent': what }));
  const choice = el('div', { class: 'tabs', role: 'group', 'aria-label': say('consent', neighbour.name) }, ...consent);
  const buttons = el('p', { class: 'buttons' }, pin, ' ', look, ' ', pull);
  const node = el('li', { 'data-neighbour': neighbour.name }, el('div', { class: 'grow' }, name, model, state, bar), buttons, choice);
  const update = (seen) => {
    name.textContent = seen.name;
    model.textContent = [seen.model !== seen.name ? seen.model : '', seen.address ?? ''].filter(Boolean).join(' · ');
    state.textContent = told(seen.state);
    const kind = seen.state.state;
    node.classList.toggle('bad', kind === 'unusable');
    bar.hidden = kind !== 'pulling';
    if (kind === 'pulling') bar.value = seen.state.total ? seen.state.done / seen.state.total : 0;
    const usable = isOwner() && !['reading', 'unusable'].includes(kind);
    buttons.hidden = !usable || seen.consent === 'never';
    pin.hidden = kind !== 'waiting' || seen.state.code !== 'pin';
    look.disabled = ['looking', 'pulling'].includes(kind);
    pull.disabled = kind === 'pulling' || (kind === 'looked' && seen.state.new === 0);
    choice.hidden = !usable;
    for (const each of consent) each.setAttribute('aria-pressed', String(each.dataset.consent === seen.consent));
  };
  return { node, update };
}

function showNeighbours() {
  const all = box.board?.neighbours ?? [];
  keyed($('neighbours'), all, (neighbour) => neighbour.id, make);
  $('neighbours-empty').hidden = all.length > 0;
  $('neighbours-empty').textContent = isMember() ? say('neighboursEmpty') : say('pairFirst');
  $('look-again').hidden = !isOwner();
}

function pairForm() {
  const name = el('input', { name: 'name', required: true, maxlength: 100, value: say('myDevice'), autocomplete: 'off' });
  const pin = el('input', { name: 'pin', required: true, maxlength: 20, inputmode: 'numeric', autocomplete: 'off' });
  const form = el('form', { class: 'form', id: 'pair-form' }, el('h2', {}, say('pairThis')), el('p', { class: 'small' }, say('pairHow')),
    el('label', {}, el('span', {}, say('deviceName')), name), el('label', {}, el('span', {}, say('pin')), pin),
    el('button', { class: 'main' }, say('pair')));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (await attempt('POST', '/api/pair', { name: name.value, pin: pin.value })) identify();
  });
  return form;
}

// The code of an invitation, dark on light whatever the page looks like: cameras want it so.
function drawing({ side, path }) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const dark = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  svg.setAttribute('viewBox', `0 0 ${side} ${side}`);
  svg.setAttribute('class', 'code');
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', say('codeOf'));
  svg.setAttribute('shape-rendering', 'crispEdges');
  dark.setAttribute('d', path);
  svg.append(dark);
  return svg;
}

// A new PIN for the next device, and who is paired.
async function ownersPart(host) {
  const said = el('p', { class: 'pin', role: 'status' });
  const make = button(say('makePin'), async () => {
    const made = await attempt('POST', '/api/pin');
    if (made) said.textContent = say('pinIs', made.pin, Math.round(made.seconds / 60));
  });
  const code = el('div', { id: 'invitation' });
  const invite = button(say('addPhone'), async () => {
    const made = await attempt('POST', '/api/invitations');
    if (made) code.replaceChildren(drawing(made), el('p', { class: 'small', role: 'status' }, say('addPhoneHow', made.url, Math.round(made.seconds / 60))));
  }, { class: 'main', id: 'invite' });
  const list = el('ul', { class: 'lines', id: 'devices' });
  host.replaceChildren(el('h2', {}, say('paired')), el('p', { class: 'buttons' }, invite, ' ', make), said, code, list);
  try {
    const devices = await ask('GET', '/api/devices');
    for (const device of devices.items) {
      const forget = key('remove', say('forget', device.name), async () => {
        if (await attempt('DELETE', `/api/devices/${device.id}`)) showPairing();
      });
      const own = device.id === box.me.device;
      list.append(el('li', { class: 'with-key' }, el('b', {}, device.name), el('span', { class: 'small' }, say(device.right)), landing(device), own ? null : forget));
    }
  } catch (error) {
    toast(error.message);
  }
}

function showPairing() {
  const host = $('pairing');
  if (isOwner()) ownersPart(host);
  else if (isMember()) host.replaceChildren(el('p', { class: 'small' }, say('ownerOnly')));
  else host.replaceChildren(pairForm());
}

// An app with LocalSend that is open on the very phone that has this page: one tap makes both the same device.
async function showJoins() {
  const found = isMember() ? await ask('GET', '/api/joins').catch(() => null) : null;
  const items = (found?.items ?? []).map((app) => ({ ...app, key: `join ${app.id}` }));
  keyed($('joins'), items, (app) => app.key, (app) => {
    const join = button(say('join'), async () => {
      if (!(await attempt('POST', `/api/joins/${encodeURIComponent(app.id)}`))) return;
      toast(say('joined', app.name));
      show();
    }, { class: 'main' });
    const node = el('div', { class: 'note card-like' }, el('div', { class: 'grow' }, el('b', {}, say('joinThis', app.name)), el('span', { class: 'small' }, say('joinHow'))), join);
    return { node, update() {} };
  });
}

let heard = '';

// Only when other apps are open than before.
function lookForJoins() {
  const now = JSON.stringify((box.board?.receivers ?? []).map((one) => [one.id, one.trouble]));
  if (now === heard || $('view-neighbours').hidden) return;
  heard = now;
  showJoins();
}

export function show() {
  showNeighbours();
  if (isMember()) {
    // Apps that are open answer within a second; the board tells it.
    ask('GET', '/api/receivers').catch(() => {});
    showJoins();
  }
  if (isOwner()) showPairing();
}

export function start() {
  on('board', () => { showNeighbours(); lookForJoins(); });
  on('me', () => { showNeighbours(); showPairing(); });
  $('look-again').addEventListener('click', () => attempt('POST', '/api/search'));
}
