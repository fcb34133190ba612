// What the owner sets, in the first start and in its own view; the sleep timer is for everybody.
import { ask, attempt, box, command, isOwner, on, toast } from './box.js';
import { $, button, clock, el, pressed } from './parts.js';
import { say } from './words.js';

// A field of the form: what it is called, what is typed or chosen in it, and the keys that it sets.
function labelled(name, input, settings, key) {
  const locked = settings[key]?.locked;
  input.disabled = Boolean(locked);
  return el('label', {}, el('span', {}, name), input, locked ? el('span', { class: 'small' }, say('lockedSetting')) : null);
}

function choice(options, chosen, attributes) {
  const node = el('select', attributes, ...options.map(([value, words]) => el('option', { value }, words)));
  if (![...node.options].some((option) => option.value === chosen)) node.append(el('option', { value: chosen }, chosen));
  node.value = chosen;
  return node;
}

const put = (changes) => attempt('PUT', '/api/settings', changes);

// Asks for everything that a form shows.
export async function load() {
  const [settings, outputs] = await Promise.all([ask('GET', '/api/settings'), ask('GET', '/api/outputs')]);
  return { settings, outputs: outputs.items };
}

// The four questions: name, output with its test sound, where the knob is and how far it goes, quiet hours.
export function questions({ settings, outputs }) {
  const had = (key) => settings[key]?.value ?? null;
  const name = el('input', { name: 'box', required: true, maxlength: 63, autocomplete: 'off', value: had('name') });
  const best = outputs.find((output) => output.chosen)?.description;
  const device = choice([['auto', best ? say('outputAuto', best) : say('outputAutoOnly')],
    ...outputs.map((output) => [output.name, output.holder ? say('outputHeld', output.description, output.holder) : output.description])],
  had('output.device'), { name: 'output' });
  const knob = choice([['box', say('knobBox')], ['fixed', say('knobFixed')]], had('output.volume'), { name: 'knob' });
  const most = el('input', { type: 'number', name: 'most', min: 1, max: 100, step: 1, inputmode: 'numeric', value: had('output.max_volume') });
  const quiet = el('input', { type: 'checkbox', name: 'quiet' });
  quiet.checked = had('quiet.from') !== null;
  const from = el('input', { type: 'time', name: 'from', required: true, value: had('quiet.from') ?? '22:00' });
  const to = el('input', { type: 'time', name: 'to', required: true, value: had('quiet.to') ?? '07:00' });
  const days = choice([['all', say('daysAll')], ['mon,tue,wed,thu,sun', say('daysWork')], ['fri,sat', say('daysWeekend')]], had('quiet.days'), { name: 'days' });
  const limit = el('input', { type: 'number', name: 'limit', min: 0, max: 100, step: 1, inputmode: 'numeric', value: had('quiet.max_volume') });
  const action = choice([['fade', say('quietFade')], ['stop', say('quietStop')]], had('quiet.action'), { name: 'action' });
  const night = el('div', { class: 'pair' }, labelled(say('quietFrom'), from, settings, 'quiet.from'), labelled(say('quietTo'), to, settings, 'quiet.to'),
    labelled(say('quietDays'), days, settings, 'quiet.days'), labelled(say('quietMost'), limit, settings, 'quiet.max_volume'), labelled(say('quietThen'), action, settings, 'quiet.action'));
  const fit = () => {
    night.hidden = !quiet.checked;
    // The amplifier cannot be turned down from here: it can only be silent.
    if (knob.value === 'fixed') action.value = 'stop';
    action.disabled = knob.value === 'fixed' || Boolean(settings['quiet.action']?.locked);
    most.closest('label').hidden = knob.value === 'fixed';
  };
  const test = button(say('testSound'), async () => {
    // Heard on what is chosen now, which is kept by that.
    if (device.value !== had('output.device') && !device.disabled && !(await put({ 'output.device': device.value }))) return;
    settings['output.device'] = { ...settings['output.device'], value: device.value };
    if (await command('test_sound')) toast(say('testPlays'));
  }, { type: 'button', class: 'test' });
  const node = el('div', { class: 'questions' }, labelled(say('boxName'), name, settings, 'name'),
    labelled(say('output'), device, settings, 'output.device'), test,
    labelled(say('knob'), knob, settings, 'output.volume'), labelled(say('mostVolume'), most, settings, 'output.max_volume'),
    el('label', { class: 'check' }, quiet, el('span', {}, say('quietHours'))), night);
  quiet.disabled = Boolean(settings['quiet.from']?.locked);
  for (const input of [quiet, knob]) input.addEventListener('change', fit);
  fit();
  const now = () => {
    const wanted = { name: name.value.trim(), 'output.device': device.value, 'output.volume': knob.value, 'output.max_volume': Number(most.value) };
    const hours = quiet.checked
      ? { 'quiet.from': from.value, 'quiet.to': to.value, 'quiet.days': days.value, 'quiet.max_volume': Number(limit.value), 'quiet.action': action.value }
      : { 'quiet.from': null, 'quiet.to': null };
    return { ...wanted, ...hours };
  };
  return { node, changes: () => changed(settings, now()) };
}

// Only what differs is sent, and nothing that the page may not set.
function changed(settings, wanted) {
  return Object.fromEntries(Object.entries(wanted).filter(([key, value]) => !settings[key]?.locked && (settings[key]?.value ?? null) !== value));
}

// Sends what was changed. Answers whether all of it holds now.
export async function save(changes) {
  return Object.keys(changes).length === 0 || Boolean(await put(changes));
}

function senders(settings) {
  const had = (key) => settings[key].value;
  const push = choice([['ask', say('pushAsk')], ['window', say('pushWindow')], ['paired', say('pushPaired')], ['always', say('pushAlways')], ['never', say('pushNever')]], had('intake.push'), { name: 'push' });
  const landing = choice(LANDINGS.map((wish) => [wish, say(`land_${wish}`)]), had('intake.on_arrival'), { name: 'landing' });
  const node = el('div', { class: 'questions' }, labelled(say('whoMaySend'), push, settings, 'intake.push'), labelled(say('onArrival'), landing, settings, 'intake.on_arrival'));
  return { node, changes: () => changed(settings, { 'intake.push': push.value, 'intake.on_arrival': landing.value }) };
}

// What happens to the songs of one device.
export function landing(device) {
  const node = choice([['', say('asSet')], ...LANDINGS.map((wish) => [wish, say(`land_${wish}`)])], device.on_arrival ?? '', { 'aria-label': say('songsOf', device.name), 'data-landing': device.id });
  node.addEventListener('change', () => attempt('PUT', `/api/devices/${device.id}`, { on_arrival: node.value || null }));
  return node;
}

async function showForm() {
  const host = $('owners-settings');
  if (!isOwner()) {
    host.replaceChildren(el('p', { class: 'small' }, say('settingsOwner')));
    return;
  }
  try {
    const found = await load();
    const [first, second] = [questions(found), senders(found.settings)];
    const form = el('form', { class: 'form', id: 'settings-form' }, el('h2', {}, say('theBox')), first.node, el('h2', {}, say('theSenders')), second.node,
      el('p', { class: 'buttons' }, el('button', { class: 'main' }, say('save'))));
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      if (!(await save({ ...first.changes(), ...second.changes() }))) return;
      toast(say('saved'));
      showForm();
    });
    host.replaceChildren(form);
  } catch (error) {
    toast(error.message);
  }
}

function showSleep() {
  const sleep = box.state?.sleep;
  const left = sleep ? sleep.left_ms - (performance.now() - box.state.heard) : 0;
  $('sleep-left').textContent = sleep ? say('sleepLeft', clock(left)) : '';
  pressed($('sleep-keys').children, (key) => (key.dataset.minutes === '0' ? !sleep : false));
}

function showQuiet() {
  const { quiet } = box.state ?? {};
  $('quiet-part').hidden = !isOwner();
  pressed($('quiet-keys').children, (key) => key.dataset.mode === quiet?.mode);
}

export function show() {
  showForm();
  showSleep();
  showQuiet();
}

export function start() {
  for (const minutes of [0, 15, 30, 60, 90]) {
    const words = minutes ? say('minutes', minutes) : say('off');
    $('sleep-keys').append(button(words, () => command({ sleep: minutes ? { after: minutes * 60_000, end: 'fade' } : null }), { 'data-minutes': minutes }));
  }
  for (const mode of ['auto', 'on', 'off']) {
    $('quiet-keys').append(button(say(`quiet_${mode}`), () => command({ set_quiet: mode }), { 'data-mode': mode }));
  }
  on('state', () => { showSleep(); showQuiet(); });
  on('me', () => { if (!$('view-settings').hidden) show(); });
  setInterval(() => { if (!document.hidden && box.state?.sleep) showSleep(); }, 1000);
}

const LANDINGS = ['play-if-idle', 'next', 'keep'];
