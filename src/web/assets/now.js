// What plays, its keys, the knob.
import { box, command, current, on, position } from './box.js';
import { $, clock, coverOf, picture, shape, titled } from './parts.js';
import { said, say } from './words.js';

// A slider that a finger can hold: what the box says does not move it meanwhile, nor just after.
function slider(node, shown, send) {
  const hold = { held: false, until: 0, sending: false, next: null };
  const press = async () => {
    if (hold.sending) return;
    hold.sending = true;
    while (hold.next !== null) {
      const value = hold.next;
      hold.next = null;
      await send(value);
      hold.until = performance.now() + SETTLES;
    }
    hold.sending = false;
  };
  node.addEventListener('pointerdown', () => { hold.held = true; });
  for (const end of ['pointerup', 'pointercancel', 'blur']) node.addEventListener(end, () => { hold.held = false; });
  node.addEventListener('input', () => {
    hold.until = performance.now() + SETTLES;
    shown(Number(node.value));
    if (node.dataset.live !== undefined) { hold.next = Number(node.value); press(); }
  });
  node.addEventListener('change', () => { hold.next = Number(node.value); press(); });
  return {
    // Follows the box, unless a finger has it.
    follow(value) {
      if (hold.held || hold.sending || performance.now() < hold.until) return;
      if (Number(node.value) !== value) node.value = value;
      shown(value);
    },
  };
}

let seek;
let volume;

function showPosition(ms) {
  const length = Number($('seek').max);
  $('at').textContent = clock(ms);
  $('seek').setAttribute('aria-valuetext', say('positionOf', clock(ms), clock(length)));
  fill($('seek'));
}

function showVolume(value) {
  $('volume-number').textContent = value;
  fill($('volume'));
}

function fill(node) {
  const max = Number(node.max) || 1;
  node.style.setProperty('--part', `${(Number(node.value) / max) * 100}%`);
}

function format(signal) {
  if (!signal) return '';
  const { codec, rate, bits } = signal.source;
  const parts = [CODECS[codec] ?? codec?.toUpperCase().replaceAll('_', ' ')];
  if (rate) parts.push(`${rate / 1000} kHz`);
  if (bits) parts.push(`${bits} bit`);
  if (signal.bit_perfect) parts.push(say('bitPerfect'));
  return parts.join(' · ');
}

function toggleKey(node, playing) {
  shape(node, playing ? 'pause' : 'play');
  node.setAttribute('aria-label', say(playing ? 'pause' : 'play'));
}

function words(entry, state) {
  const onAir = state.on_air;
  const title = entry ? (onAir?.title || titled(entry)) : say('nothing');
  const artist = entry ? [entry.artist || onAir?.name, entry.album].filter(Boolean).join(' — ') : say('nothingHint');
  return { title, artist };
}

function showState() {
  const { state } = box;
  if (!state) return;
  const entry = current();
  const playing = state.transport === 'playing' || state.transport === 'opening';
  const { title, artist } = words(entry, state);
  for (const id of ['title', 'mini-title']) if ($(id).textContent !== title) $(id).textContent = title;
  for (const id of ['artist', 'mini-artist']) $(id).textContent = artist;
  picture($('cover'), coverOf(entry?.track, 600));
  picture($('mini-cover'), coverOf(entry?.track, 160));
  document.title = playing && entry ? `${title} – ${box.me.name}` : box.me.name;
  toggleKey($('toggle'), playing);
  toggleKey($('mini-toggle'), playing);
  document.body.classList.toggle('playing', playing);
  $('shuffle').setAttribute('aria-pressed', String(state.shuffle));
  $('repeat').setAttribute('aria-pressed', String(state.repeat !== 'off'));
  shape($('repeat'), state.repeat === 'one' ? 'once' : 'repeat');
  $('repeat').setAttribute('aria-label', say(state.repeat === 'one' ? 'repeatOne' : 'repeat'));
  $('mute').setAttribute('aria-pressed', String(state.mute));
  shape($('mute'), state.mute ? 'mute' : 'sound');
  $('volume-row').hidden = state.fixed_volume;
  $('fixed').hidden = !state.fixed_volume;
  volume.follow(state.volume);
  $('seek').max = state.duration_ms;
  $('seek').disabled = !state.duration_ms;
  $('length').textContent = clock(state.duration_ms);
  seek.follow(position());
  $('signal').textContent = [state.guest ? say('byApp') : '', format(state.signal)].filter(Boolean).join(' · ');
  const { quiet } = state;
  $('quiet').hidden = !quiet.because;
  $('quiet').textContent = quiet.until ? say('quietUntil', quiet.until, quiet.limit) : say('quiet', quiet.limit);
  const trouble = said(state.device.trouble || box.board?.trouble || '');
  $('trouble').textContent = trouble;
  $('trouble').hidden = !trouble;
  $('mini').hidden = !entry;
}

export function start() {
  seek = slider($('seek'), showPosition, (ms) => command({ seek: Math.round(ms) }));
  $('volume').dataset.live = '';
  volume = slider($('volume'), showVolume, (value) => command({ set_volume: value }));
  const press = (id, what) => $(id).addEventListener('click', () => command(what()));
  press('toggle', () => 'toggle');
  press('mini-toggle', () => 'toggle');
  press('next', () => 'next');
  press('mini-next', () => 'next');
  press('previous', () => 'previous');
  press('shuffle', () => ({ set_shuffle: !box.state.shuffle }));
  press('repeat', () => ({ set_repeat: { off: 'all', all: 'one', one: 'off' }[box.state.repeat] }));
  press('mute', () => ({ set_mute: !box.state.mute }));
  on('state', showState);
  on('queue', showState);
  on('board', showState);
  setInterval(() => { if (!document.hidden && box.state?.transport === 'playing') seek.follow(position()); }, 250);
  document.addEventListener('keydown', (event) => {
    const typing = event.target.closest('input:not([type=range]), textarea, button, a, [contenteditable]');
    if (event.key !== ' ' || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    command('toggle');
  });
}

// Milliseconds for which the box's own word is on its way.
const SETTLES = 700;
const CODECS = { flac: 'FLAC', mp3: 'MP3', aac_lc: 'AAC', he_aac: 'HE-AAC', alac: 'Apple Lossless', vorbis: 'Vorbis', opus: 'Opus', pcm: 'PCM', dsd: 'DSD', wma: 'WMA' };
