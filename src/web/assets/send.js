// Music back out: an album, a list or a song to a phone or computer with LocalSend that is open now.
import { ask, attempt, box, isMember, on } from './box.js';
import { button, el, key, keyed } from './parts.js';
import { reasonOf, said, say } from './words.js';

// What is shown while somebody chooses and watches; one at a time.
let shown = null;

// A button that sends something ({ album }, { playlist } or { tracks }); null for those who may not.
export function sendButton(what, name) {
  return isMember() ? button(say('sendTo'), () => choose(what, name)) : null;
}

// The same as a key with a symbol, for rows.
export function sendKey(what, name) {
  return isMember() ? key('phone', say('sendThis', name), () => choose(what, name), { class: 'key small send' }) : null;
}

export function choose(what, name) {
  const dialog = el('dialog', { class: 'send-to', 'aria-labelledby': 'send-h' });
  const list = el('ul', { class: 'lines' });
  const told = el('p', { class: 'small', role: 'status' });
  const bar = el('progress', { max: 1, value: 0, 'aria-label': say('sendTo'), hidden: true });
  const pin = el('input', { name: 'pin', autocomplete: 'off', maxlength: 64, required: true });
  const label = el('span', {}, say('pin'));
  const again = el('form', { class: 'form bare', hidden: true }, el('label', {}, label, pin), el('button', { class: 'main' }, say('sendAgain')));
  again.addEventListener('submit', (event) => { event.preventDefault(); begin(shown.to, pin.value); });
  const stop = button(say('stop'), () => attempt('DELETE', `/api/sends/${shown.id}`), { hidden: true });
  const close = button(say('close'), () => dialog.close());
  dialog.append(el('h2', { id: 'send-h' }, say('sendWhat', name)), list, told, bar, again, el('p', { class: 'buttons' }, stop, close));
  dialog.addEventListener('close', () => { clearInterval(shown.timer); shown = null; dialog.remove(); });
  document.body.append(dialog);
  shown = { dialog, list, told, bar, again, label, stop, close, what, to: null, id: null, words: '' };
  look();
  shown.timer = setInterval(look, 5_000);
  dialog.showModal();
  draw();
}

// Who is open answers within a second; the board tells it.
function look() {
  if (shown?.id === null) ask('GET', '/api/receivers').catch(() => {});
}

async function begin(to, pin) {
  const now = shown;
  Object.assign(now, { to, id: null, words: '' });
  now.again.hidden = true;
  try {
    const { id } = await ask('POST', '/api/sends', { to, ...now.what, ...(pin ? { pin } : {}) });
    now.id = id;
    if (shown === now) draw();
  } catch (error) {
    now.words = error.message;
    if (shown === now) draw();
  }
}

function makeReceiver() {
  const name = el('b', {});
  const model = el('span', { class: 'small' });
  const press = el('button', { class: 'row-main', onclick: () => begin(press.dataset.id) }, el('span', { class: 'words' }, name, model));
  const node = el('li', {}, press);
  const update = (receiver) => {
    press.dataset.id = receiver.id;
    name.textContent = receiver.name;
    model.textContent = receiver.trouble ? say('sendTrouble') : receiver.model;
    press.disabled = Boolean(receiver.trouble);
  };
  return { node, update };
}

function words(sending) {
  const left = sending.left_count ? ` ${say('sendLeft', sending.left_count)} ${sending.left.map(said).join('; ')}` : '';
  const skipped = sending.skipped ? ` ${say('sendSkipped', sending.skipped)}` : '';
  switch (sending.state) {
    case 'reading': return say('sendReading');
    case 'waiting': return say('sendWaiting', sending.name) + left;
    case 'sending': return say('sending', sending.sent, sending.files - sending.skipped) + left;
    case 'sent': return say('sendSent', sending.name) + skipped + left;
    case 'stopped': return say('sendStopped');
    default: return reasonOf(sending) + left;
  }
}

function draw() {
  if (!shown) return;
  const receivers = box.board?.receivers ?? [];
  const sending = (box.board?.sends ?? []).find((one) => one.id === shown.id);
  const over = sending && !['reading', 'waiting', 'sending'].includes(sending.state);
  const { activeElement } = document;
  shown.list.hidden = shown.id !== null && !(over && sending.state === 'failed');
  keyed(shown.list, receivers, (receiver) => receiver.id, makeReceiver);
  if (sending) shown.told.textContent = words(sending);
  else if (shown.id === null) shown.told.textContent = shown.words || (receivers.length ? '' : say('sendNobody'));
  shown.bar.hidden = !sending || over;
  shown.bar.value = sending?.bytes ? sending.sent_bytes / sending.bytes : 0;
  shown.stop.hidden = !sending || over;
  if (sending) {
    const asks = sending.code === 'pin';
    shown.label.textContent = say('sendPin', sending.name);
    if (asks && shown.again.hidden) shown.pinAsked = true;
    shown.again.hidden = !asks;
  }
  // What had the focus may be gone: the field that is asked for now, else what ends it.
  if (shown.pinAsked) shown.again.querySelector('input').focus();
  else if (shown.dialog.contains(activeElement) && !activeElement.offsetParent) (shown.stop.hidden ? shown.close : shown.stop).focus();
  shown.pinAsked = false;
}

on('board', draw);
