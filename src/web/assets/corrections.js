// Words and the cover of a song put right by hand: what is shown changes, the file does not.
import { ask, toast } from './box.js';
import { button, el } from './parts.js';
import { say } from './words.js';

const FIELDS = ['title', 'artist', 'album'];

async function send(track, inputs, cover) {
  const body = { ids: [track.id], set: {} };
  for (const field of FIELDS) {
    const word = inputs[field].value.trim();
    if (word !== (track[field] ?? '')) body.set[field] = word;
  }
  if (cover.files.length) body.set.cover = (await ask('POST', '/api/covers', cover.files[0])).cover;
  if (Object.keys(body.set).length) await ask('POST', '/api/corrections', body);
}

// Opens the form for a song.
export function correct(track) {
  const inputs = Object.fromEntries(FIELDS.map((field) => [field, el('input', { name: field, maxlength: 400, autocomplete: 'off', value: track[field] ?? '' })]));
  const cover = el('input', { type: 'file', name: 'cover', accept: 'image/*' });
  const dialog = el('dialog', { class: 'dialog', 'aria-labelledby': 'correct-h' });
  const form = el('form', { class: 'form' }, el('h2', { id: 'correct-h' }, say('correct')), el('p', { class: 'small' }, say('correctHow')),
    ...FIELDS.map((field) => el('label', {}, el('span', {}, say(`${field}Word`)), inputs[field])),
    el('label', {}, el('span', {}, say('coverWord')), cover),
    el('p', { class: 'buttons' }, el('button', { class: 'main' }, say('save')), ' ',
      button(say('asTagged'), () => finish(() => ask('DELETE', `/api/tracks/${track.id}/correction`)), { type: 'button' }), ' ',
      button(say('later'), () => dialog.close(), { type: 'button' })));
  const finish = async (work) => {
    try {
      await work();
      dialog.close();
      toast(say('saved'));
    } catch (error) {
      toast(error.message);
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    finish(() => send(track, inputs, cover));
  });
  dialog.append(form);
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
