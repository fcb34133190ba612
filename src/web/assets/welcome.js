// The first start: the first device becomes the owner, four questions, the first song. And a device that opens an invitation.
import { ask, attempt, box, command, identify, on } from './box.js';
import { $, button, el } from './parts.js';
import { load, questions, save } from './settings.js';
import { ways } from './library.js';
import { say } from './words.js';

let closed = false;
let token = /^\/b\/([0-9a-z]+)$/i.exec(location.pathname)?.[1] ?? null;

function close() {
  closed = true;
  $('welcome').hidden = true;
  $('welcome').replaceChildren();
}

function put(node) {
  delete $('welcome').dataset.first;
  $('welcome').replaceChildren(node);
  $('welcome').hidden = false;
}

const heading = (words) => el('h1', { id: 'welcome-h', tabindex: -1 }, words);

// Asks what the device is called, and pairs it.
function askName(title, how, act, path, more, then) {
  const name = el('input', { name: 'name', required: true, maxlength: 100, value: say('myDevice'), autocomplete: 'off' });
  const form = el('form', { class: 'form' }, heading(title), el('p', {}, how), el('label', {}, el('span', {}, say('deviceName')), name),
    el('p', { class: 'buttons' }, el('button', { class: 'main' }, act), ' ', button(say('later'), close, { type: 'button' })));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const paired = await attempt('POST', path, { name: name.value, ...more });
    if (!paired) return;
    await identify();
    then(paired.right);
  });
  put(form);
}

function first() {
  askName(say('welcome'), say('welcomeHow'), say('becomeOwner'), '/api/setup', {}, second);
  $('welcome').dataset.first = 'yes';
}

function invited() {
  const code = token;
  token = null;
  // The token is not left behind in the history of the browser.
  history.replaceState(null, '', `/${location.hash}`);
  askName(say('invited'), say('invitedHow'), say('pair'), '/api/pair', { token: code }, (right) => (right === 'owner' ? second() : close()));
}

// Each question has an answer already: whoever wants none of them is done with one touch.
async function second() {
  let asked;
  try {
    asked = questions(await load());
  } catch {
    return third();
  }
  const form = el('form', { class: 'form' }, heading(say('yours')), el('p', {}, say('safe')), asked.node,
    el('p', { class: 'buttons' }, el('button', { class: 'main' }, say('done')), ' ', button(say('skipAll'), close, { type: 'button' })));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (!(await save(asked.changes()))) return;
    await identify();
    third();
  });
  put(form);
  $('welcome-h').focus();
}

// The first song: from the shelf, or by the easiest ways in.
async function third() {
  const shelf = await ask('GET', '/api/library/tracks?limit=1').catch(() => ({ total: 0 }));
  const play = button(say('start'), async () => { if (await command('play_something')) { close(); location.hash = '#now'; } }, { class: 'main' });
  const choose = button(say('choose'), () => { close(); location.hash = '#arrivals'; $('choose').click(); }, { class: 'main' });
  put(el('div', { class: 'form wide' }, heading(say('ready1')), shelf.total ? null : ways(),
    el('p', { class: 'buttons' }, shelf.total ? play : choose, ' ', button(say('later'), close))));
  $('welcome-h').focus();
}

async function look() {
  if (token) {
    if (box.me.right === 'room') return invited();
    token = null;
    history.replaceState(null, '', `/${location.hash}`);
  }
  if (closed || box.me.right !== 'room') return;
  try {
    const setup = await ask('GET', '/api/setup');
    if (setup.open && !$('welcome').hasChildNodes()) first();
    if (!setup.open && $('welcome').dataset.first) close();
  } catch {
    // It is away: said by the stream.
  }
}

export function start() {
  on('me', look);
}
