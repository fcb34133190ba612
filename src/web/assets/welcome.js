// The first start: the first device becomes the owner; the volume is safe; others are paired by a PIN.
import { ask, attempt, box, command, identify, on } from './box.js';
import { $, button, el } from './parts.js';
import { say } from './words.js';

let closed = false;

function close() {
  closed = true;
  $('welcome').hidden = true;
  $('welcome').replaceChildren();
}

function first() {
  const name = el('input', { name: 'name', required: true, maxlength: 100, value: say('myDevice'), autocomplete: 'off' });
  const form = el('form', { class: 'form' }, el('h1', { id: 'welcome-h', tabindex: -1 }, say('welcome')), el('p', {}, say('welcomeHow')),
    el('label', {}, el('span', {}, say('deviceName')), name),
    el('p', { class: 'buttons' }, el('button', { class: 'main' }, say('becomeOwner')), ' ', button(say('later'), close, { type: 'button' })));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (!(await attempt('POST', '/api/setup', { name: name.value }))) return;
    await identify();
    second();
  });
  $('welcome').replaceChildren(form);
  $('welcome').hidden = false;
}

function second() {
  const said = el('p', { class: 'pin', role: 'status' });
  const pin = button(say('makePin'), async () => {
    const made = await attempt('POST', '/api/pin');
    if (made) said.textContent = say('pinIs', made.pin, Math.round(made.seconds / 60));
  });
  const play = button(say('start'), async () => { if (await command('play_something')) { close(); location.hash = '#now'; } }, { class: 'main' });
  $('welcome').replaceChildren(el('div', { class: 'form' }, el('h1', { id: 'welcome-h', tabindex: -1 }, say('yours')), el('p', {}, say('safe')),
    el('p', { class: 'buttons' }, play, ' ', pin, ' ', button(say('done'), close)), said));
  $('welcome-h').focus();
}

async function look() {
  if (closed || box.me.right !== 'room') return;
  try {
    const setup = await ask('GET', '/api/setup');
    if (setup.open && !$('welcome').hasChildNodes()) first();
    if (!setup.open && $('welcome').hasChildNodes()) close();
  } catch {
    // It is away: said by the stream.
  }
}

export function start() {
  on('me', look);
}
