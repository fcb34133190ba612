// Every word of the page, in English and Japanese. `{0}`, `{1}` … stand for what is told.

const WORDS = {
  skip: ['To the content', '本文へ'],
  now: ['Now', '再生中'],
  library: ['Library', 'ライブラリ'],
  arrivals: ['Beam', 'ビーム'],
  neighbours: ['Devices', '機器'],
  purchases: ['Bought', '購入'],
  queue: ['Queue', '再生リスト'],
  clear: ['Clear', '空にする'],
  fixed: ['The knob is on the amplifier.', '音量はアンプで調整します。'],
  asks: ['Questions', '確認'],
  lists: ['Lists', '一覧'],
  position: ['Position', '再生位置'],
  positionOf: ['{0} of {1}', '{1}中 {0}'],
  play: ['Play', '再生'],
  pause: ['Pause', '一時停止'],
  next: ['Next', '次の曲'],
  previous: ['Previous', '前の曲'],
  shuffle: ['Shuffle', 'シャッフル'],
  repeat: ['Repeat', 'リピート'],
  repeatOne: ['Repeat this one', '1曲リピート'],
  mute: ['Mute', '消音'],
  volume: ['Volume', '音量'],
  nothing: ['Nothing is chosen', '曲が選ばれていません'],
  nothingHint: ['Play starts the last album, or the newest songs.', '再生を押すと、前回のアルバムか新しい曲が流れます。'],
  untitled: ['Without a title', '無題'],
  bitPerfect: ['bit-perfect', 'ビットパーフェクト'],
  quietUntil: ['Quiet hours until {0}: at most {1}', '{0}まで静音：上限 {1}'],
  quiet: ['Quiet hours: at most {0}', '静音中：上限 {0}'],
  byApp: ['From an app', 'アプリから再生中'],
  songs: ['{0} songs', '{0}曲'],
  song: ['1 song', '1曲'],
  queueEmpty: ['The queue is empty.', '再生リストは空です。'],
  playThis: ['Play {0}', '{0}を再生'],
  up: ['Move {0} up', '{0}を上へ'],
  down: ['Move {0} down', '{0}を下へ'],
  drag: ['Drag {0}', '{0}をドラッグ'],
  removeThis: ['Remove {0}', '{0}を削除'],
  addThis: ['Add {0} to the queue', '{0}を再生リストに追加'],
  add: ['Add to the queue', '再生リストに追加'],
  added: ['Added: {0}', '追加しました：{0}'],
  movedTo: ['{0}: place {1} of {2}', '{0}：{2}曲中{1}番目'],
  search: ['Search songs, artists, albums', '曲・アーティスト・アルバムを検索'],
  albums: ['Albums', 'アルバム'],
  artists: ['Artists', 'アーティスト'],
  tracks: ['Songs', '曲'],
  recent: ['New', '新着'],
  playlists: ['Playlists', 'プレイリスト'],
  noPlaylists: ['No playlist is here yet. Put .m3u8 files into the folder Playlists of the music folder.', 'プレイリストはまだありません。音楽フォルダの「Playlists」に .m3u8 ファイルを置いてください。'],
  back: ['Back', '戻る'],
  found: ['{0} found', '{0}件'],
  nothingFound: ['Nothing is called that.', '見つかりませんでした。'],
  offline: ['its disk is away', 'ディスクが外れています'],
  emptyShelf: ['No music is here yet', 'まだ曲がありません'],
  way0: ['From this page', 'このページから'],
  way0how: ['Choose songs under Beam, or drop them here.', '「ビーム」で曲を選ぶか、ここにドロップします。'],
  way1: ['With LocalSend', 'LocalSendで'],
  way1how: ['Open the app on a phone or computer, choose songs, and tap “{0}”.', 'スマートフォンやパソコンのアプリで曲を選び、「{0}」をタップします。'],
  way2: ['From a player on the network', 'ネットワークの機器から'],
  way2how: ['What shares music here is listed under Devices.', '音楽を共有している機器は「機器」に表示されます。'],
  wantsToSend: ['{0} wants to send {1}', '{0}が{1}を送ろうとしています'],
  more: ['and {0} more', '他{0}件'],
  yes: ['Yes', 'はい'],
  no: ['No', 'いいえ'],
  someoneWaits: ['Somebody wants to send songs. A paired device can answer.', '曲を送りたい人がいます。登録済みの機器で答えられます。'],
  windowOpen: ['Until {0} everybody may send without a question.', '{0}までは確認なしで受け取ります。'],
  windowClosed: ['Before a device that is not paired sends, somebody here is asked.', '未登録の機器からは、確認してから受け取ります。'],
  openWindow: ['Take from everybody for 10 minutes', '10分間だれからでも受け取る'],
  closeWindow: ['Ask again', '確認に戻す'],
  choose: ['Choose songs', '曲を選ぶ'],
  beamDrop: ['Or drop files and folders anywhere on this page.', 'ファイルやフォルダをこのページにドロップしても送れます。'],
  beamHow: ['Songs and the ZIP of a shop are taken. Keep this page open and the screen on until all is sent. Songs bought in the Music app of an iPhone cannot be chosen: what is in Files can.', '曲とストアのZIPを受け取ります。終わるまでページを開き、画面をつけたままにしてください。iPhoneのミュージックで購入した曲は選べませんが、「ファイル」にある曲は送れます。'],
  asking: ['asking the box', '本体に確認中'],
  sending: ['{0} of {1}', '{1}中 {0}'],
  resumed: ['goes on where it was: {0} of {1}', '続きから送信中：{1}中 {0}'],
  interrupted: ['interrupted at {0} of {1}, trying again …', '{1}中 {0}で中断。再接続しています…'],
  received: ['the box has it: {1}', '本体が受け取りました：{1}'],
  refusedFile: ['was not taken', '受け取れませんでした'],
  unreadable: ['The file cannot be read.', 'ファイルを読めません。'],
  stop: ['Stop', '中止'],
  tooMany: ['The first {0} files are taken.', '最初の{0}ファイルを受け取ります。'],
  arrivalsEmpty: ['Nothing came lately.', '最近届いた曲はありません。'],
  from: ['From {0}', '{0}から'],
  coming: ['coming: {0} of {1}', '受信中：{1}曲中{0}曲'],
  came: ['{0} came', '{0}届きました'],
  known: ['{0} were here already', '{0}曲はすでにあります'],
  known1: ['1 was here already', '1曲はすでにあります'],
  refused: ['{0} were not taken', '{0}曲は受け取れませんでした'],
  refused1: ['1 was not taken', '1曲は受け取れませんでした'],
  leftOut: ['{0} were not asked for: {1}', '{0}件は対象外：{1}'],
  leftOut1: ['1 was not asked for: {1}', '1件は対象外：{1}'],
  undone: ['taken back', '取り消しました'],
  undo: ['Undo', '取り消す'],
  gone: ['Taken back: {0}', '取り消しました：{0}'],
  files: ['Songs', '曲'],
  notices: ['What happened', 'お知らせ'],
  stored: ['on the shelf', '保存しました'],
  merged: ['was here already', 'すでにあります'],
  lockedFile: ['kept, but locked', '保存しましたが、再生できません'],
  waiting: ['waiting', '待機中'],
  percent: ['{0} %', '{0}%'],
  neighboursEmpty: ['No phone or player that shares music is seen yet. Its app must be open, in the same network.', '音楽を共有している機器はまだ見つかりません。同じネットワークで、共有アプリを開いてください。'],
  lookAgain: ['Look again', 'もう一度探す'],
  reading: ['being read', '確認中'],
  ready: ['ready', '準備完了'],
  looking: ['being looked at', '調べています'],
  looked: ['{0} new of {1}, {2}', '{1}曲中{0}曲が新しい曲（{2}）'],
  left: ['{0} left there', '{0}件は取り込みません'],
  pulling: ['{0} of {1} taken', '{1}曲中{0}曲を取り込みました'],
  pulled: ['All is here: {0}', 'すべて取り込みました：{0}'],
  unusable: ['cannot be used: {0}', '使用できません：{0}'],
  always: ['Always', 'いつも'],
  never: ['Never', 'しない'],
  askFirst: ['Ask', '確認'],
  look: ['Look', '調べる'],
  pull: ['Take everything new', '新しい曲を取り込む'],
  consent: ['Take from {0}', '{0}からの取り込み'],
  pairFirst: ['Only paired devices see this.', '登録済みの機器だけが見られます。'],
  pairThis: ['Pair this device', 'この機器を登録'],
  pairHow: ['The owner makes a PIN on this page; say it here.', '持ち主がこのページで作ったPINを入力します。'],
  pair: ['Pair', '登録する'],
  pin: ['PIN', 'PIN'],
  deviceName: ['What this device is called', 'この機器の名前'],
  myDevice: ['My phone', 'わたしのスマートフォン'],
  makePin: ['Make a PIN for another device', '他の機器用のPINを作る'],
  pinIs: ['The PIN is {0}, for {1} minutes.', 'PINは{0}です（{1}分間有効）。'],
  paired: ['Paired devices', '登録済みの機器'],
  forget: ['Forget {0}', '{0}の登録を解除'],
  owner: ['owner', '持ち主'],
  member: ['member', 'メンバー'],
  room: ['guest', 'ゲスト'],
  ownerOnly: ['Only the owner takes music from devices.', '機器から取り込めるのは持ち主だけです。'],
  purchasesEmpty: ['No song here is known to be bought.', '購入した曲はまだありません。'],
  all: ['All', 'すべて'],
  locked: ['Locked', '保護付き'],
  whatToDo: ['What to do', 'どうすればよいか'],
  unlocked: ['unlocked', '再生できるようになりました'],
  fileAway: ['its file is not here', 'ファイルがありません'],
  away: ['The box does not answer. Trying again …', '本体が応答しません。再接続しています…'],
  welcome: ['Welcome', 'ようこそ'],
  welcomeHow: ['Nobody owns this box yet. The first device becomes the owner: it may pair others, take music from phones, and delete.', 'この本体にはまだ持ち主がいません。最初の機器が持ち主になり、他の機器の登録や曲の取り込み、削除ができます。'],
  becomeOwner: ['This is my box', 'わたしが持ち主です'],
  later: ['Not now', 'あとで'],
  yours: ['It is yours', '登録しました'],
  safe: ['The volume starts low, and nothing gets louder by itself. Turn it up when sound runs.', '音量は小さめから始まり、勝手に大きくなりません。音が出てから上げてください。'],
  start: ['Play something', '何か再生する'],
  settings: ['Settings', '設定'],
  save: ['Save', '保存'],
  saved: ['Saved', '保存しました'],
  lockedSetting: ['konpo.toml or the command line says this.', 'konpo.tomlまたは起動時の指定で決まっています。'],
  settingsOwner: ['The owner sets everything else.', 'その他の設定は持ち主だけが変えられます。'],
  theBox: ['This box', '本体'],
  theSenders: ['Who sends', '送る人'],
  boxName: ['What the box is called', '本体の名前'],
  output: ['Where the sound comes out', '音声の出力先'],
  outputAuto: ['Automatic: {0}', '自動：{0}'],
  outputAutoOnly: ['Automatic', '自動'],
  outputHeld: ['{0} (held by {1})', '{0}（{1}が使用中）'],
  testSound: ['Play a test sound', 'テスト音を鳴らす'],
  testPlays: ['A quiet chime plays now.', '小さなチャイムを鳴らしています。'],
  knob: ['Where the volume knob is', '音量を調整する場所'],
  knobBox: ['Here, on konpo', 'konpo（このページ）'],
  knobFixed: ['On the amplifier: turn it down first', 'アンプ：先に音量を下げてください'],
  mostVolume: ['The loudest it may get, 1 to 100', '音量の上限（1〜100）'],
  quietHours: ['Quiet hours', '静音時間'],
  quietFrom: ['From', '開始'],
  quietTo: ['Until', '終了'],
  quietDays: ['Evenings', '曜日'],
  daysAll: ['Every day', '毎日'],
  daysWork: ['Sunday to Thursday', '日〜木曜'],
  daysWeekend: ['Friday and Saturday', '金・土曜'],
  quietMost: ['Volume at most', '音量の上限'],
  quietThen: ['What plays then', '再生中の音'],
  quietFade: ['goes down in a minute', '1分かけて小さくする'],
  quietStop: ['stops behind the song', '曲の終わりで止める'],
  quietNow: ['Quiet now', '今すぐ静かに'],
  quiet_auto: ['By the hours', '時間どおり'],
  quiet_on: ['Quiet', '静かに'],
  quiet_off: ['Not quiet', '解除'],
  sleepTimer: ['Sleep timer', 'おやすみタイマー'],
  sleepLeft: ['The sound fades out in {0}.', 'あと{0}で音が消えます。'],
  minutes: ['{0} min', '{0}分'],
  off: ['Off', 'オフ'],
  whoMaySend: ['Devices that are not paired', '未登録の機器'],
  pushAsk: ['are asked for', '確認してから受け取る'],
  pushWindow: ['may send while “take from everybody” is on', '「だれからでも受け取る」の間だけ'],
  pushPaired: ['may not send', '受け取らない'],
  pushAlways: ['may always send', 'いつでも受け取る'],
  pushNever: ['may not send, nor may paired ones', '登録済みも含めて受け取らない'],
  onArrival: ['A song that is sent', '届いた曲'],
  'land_play-if-idle': ['plays when nothing does', '何も鳴っていなければ再生'],
  land_next: ['comes next', '次に再生'],
  land_keep: ['stays on the shelf', '保存だけ'],
  asSet: ['songs: as set', '曲：設定どおり'],
  songsOf: ['Songs from {0}', '{0}から届いた曲'],
  addPhone: ['Add another phone', '別の機器を追加'],
  addPhoneHow: ['Point its camera at the code, or open {0} there. It pairs one device, within {1} minutes.', 'カメラで読み取るか、{0} を開いてください。1台だけ、{1}分以内に登録できます。'],
  codeOf: ['Code for the camera of the other phone', '別の機器のカメラ用コード'],
  invited: ['You are invited', '招待されました'],
  invitedHow: ['This device may then send songs without being asked for.', '登録すると、確認なしで曲を送れます。'],
  skipAll: ['Skip', 'スキップ'],
  ready1: ['Ready for the first song', '最初の曲を選びましょう'],
  pinNeeded: ['the box asks for its PIN', 'PINの入力を待っています'],
  goOn: ['Go on', '続ける'],
  correctThis: ['Correct {0}', '{0}を訂正'],
  correct: ['Put right', '訂正'],
  correctHow: ['What is shown changes; the file is not touched.', '表示だけが変わり、ファイルは変わりません。'],
  titleWord: ['Title', 'タイトル'],
  artistWord: ['Artist', 'アーティスト'],
  albumWord: ['Album', 'アルバム'],
  coverWord: ['Cover', 'ジャケット画像'],
  asTagged: ['As the file says', 'ファイルの表記に戻す'],
  done: ['Done', '完了'],
  close: ['Close', '閉じる'],
  sendTo: ['Send to a phone', 'スマートフォンへ送る'],
  sendThis: ['Send {0} to a phone', '{0}をスマートフォンへ送る'],
  sendWhat: ['Send “{0}” to', '「{0}」の送り先'],
  sendNobody: ['Open the LocalSend app on the phone or computer, on the same network. It appears here.', '同じネットワークのスマートフォンやパソコンでLocalSendを開くと、ここに表示されます。'],
  sendTrouble: ['cannot prove who it is', '相手を確認できません'],
  sendReading: ['reading the songs', '曲を読み込み中'],
  sendWaiting: ['Say yes on {0}.', '{0}で「受け入れる」を押してください。'],
  sendSent: ['{0} has it.', '{0}に届きました。'],
  sendSkipped: ['{0} were there already or not wanted.', '{0}曲はすでにあるか、受け取られませんでした。'],
  sendLeft: ['{0} stay here:', '{0}曲は送れません：'],
  sendStopped: ['Stopped.', '中止しました。'],
  sendPin: ['PIN of {0}', '{0}のPIN'],
  joinThis: ['“{0}” with LocalSend is open on this device, too.', 'この機器で「{0}」のLocalSendも開いています。'],
  joinHow: ['Make both one device: what the app sends is then yours, and nobody is asked.', '1台としてまとめると、アプリから送る曲も確認なしで受け取ります。'],
  join: ['That is this device', 'この機器です'],
  joined: ['One device now: {0}', '1台にまとめました：{0}'],
  sendAgain: ['Send again', 'もう一度送る'],
};

// What the box says no with, by its code; what is not here is said in its own words.
const REFUSALS = {
  empty_queue: ['There is nothing to play.', '再生する曲がありません。'],
  no_such_entry: ['It is no longer in the queue.', '再生リストにありません。'],
  no_such_track: ['It is no longer on the shelf.', 'その曲はもうありません。'],
  locked: ['This song cannot be played: it is protected.', '保護された曲なので再生できません。'],
  not_seekable: ['This cannot be moved in.', 'この曲では位置を変えられません。'],
  no_device: ['There is no sound device.', '音声出力がありません。'],
  fixed_volume: ['Turn the knob on the amplifier.', '音量はアンプで調整してください。'],
  quiet_hours: ['It is quiet now, so nothing plays.', '静音時間中なので再生しません。'],
  not_allowed: ['This device may not do that.', 'この機器ではできません。'],
  wrong_pin: ['This is not the PIN.', 'PINが違います。'],
  no_pin: ['No PIN is set. The owner makes one.', 'PINがありません。持ち主が作ります。'],
  locked_out: ['Too many wrong PINs. Try again in a minute.', 'PINの誤りが多すぎます。1分後にもう一度。'],
  pin_missing: ['The box asks for its PIN. Its owner knows it.', '本体のPINが必要です。持ち主に聞いてください。'],
  busy: ['Something plays already, or is under way.', '再生中か、処理中です。'],
  invitation_over: ['This code was used already or is too old. Ask for another one.', 'このコードは使用済みか期限切れです。新しいコードをもらってください。'],
  declined: ['The box said no.', '本体が受け取りを断りました。'],
  full: ['The disk is full.', 'ディスクがいっぱいです。'],
};

// What the box says no with where its words are for programs, by code, and why a file was not taken, for whom reads Japanese.
const GENERAL = {
  invalid: '入力が正しくありません。',
  not_found: '見つかりません。',
  offline: '音楽用ディスクが見つかりません。',
  unreachable: '相手が応答しません。',
  damaged: '壊れています。',
  unsupported: '対応していません。',
  stopped: '本体は終了中です。',
  internal: '本体で問題が起きました。',
  out_of_range: '指定できる範囲を超えています。',
  unfit: 'この名前や数では受け取れません。',
  wrong_version: 'この送信方式には対応していません。',
  too_large: '大きすぎます。',
  wrong_offset: '送信位置が合いません。',
  taken_over: '別の送信に引き継がれました。',
  wrong_sum: '正しく届きませんでした。',
  length_required: 'ファイルの大きさが必要です。',
  foreign_origin: '他のサイトからはできません。',
  wrong_host: 'このアドレスでは開けません。',
  range: 'この範囲は渡せません。',
  not_audio: '音楽ではありません',
  empty: 'ファイルが空です',
  rule: '購入した曲だけを受け取る設定です',
  gone: '送信が途中で終わりました',
};

const wanted = (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2).toLowerCase());
export const language = wanted.find((tag) => tag === 'ja' || tag === 'en') ?? 'en';
const column = language === 'ja' ? 1 : 0;

// The words of this name.
export function say(name, ...told) {
  return fill(WORDS[name][column], told);
}

const fill = (words, told) => words.replace(/\{(\d)\}/g, (_, number) => String(told[number] ?? ''));

// What the box says comes in English, and is in its table in both languages: the longest sentence that fits, with its places.
// Only a place at the end may hold a sentence of its own.
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const place = (text, at, all) => (at === 0 ? '' : at === all.length - 1 && !text ? '(.+)' : '((?:(?!: ).)+?)') + escaped(text);
const TABLE = (column ? (await import('/assets/sentences.js')).SENTENCES : []).map(([code, english, japanese]) => ({
  code, english, japanese, pattern: new RegExp(`^${english.split(/\{\d\}/).map(place).join('')}$`, 's'),
})).sort((a, b) => b.english.length - a.english.length);

// In Japanese, or null. What stands behind a colon is a sentence of its own; anything else is a name.
function translated(words, deep = 4) {
  if (!deep || !words) return null;
  for (const { pattern, english, japanese } of TABLE) {
    const found = pattern.exec(words)?.slice(1);
    if (found) return fill(japanese, found.map((one, at) => (english.includes(`: {${at}}`) && translated(one, deep - 1)) || one));
  }
  for (const { index } of [...words.matchAll(/: /g)].slice(0, 4)) {
    const [what, reason] = [words.slice(0, index), words.slice(index + 2)];
    const told = [translated(what, 1), translated(reason, deep - 1)];
    if (told[0] || told[1]) return `${told[0] ?? what}：${told[1] ?? reason}`;
  }
  return null;
}

// Words of the box about anything.
export const said = (words) => translated(words) ?? words;

// What the box says by itself.
export function noticed({ code, about, words }) {
  const sentence = TABLE.find((one) => one.code === code);
  if (!sentence) return said(words);
  return fill(sentence.japanese, about.map((one, at) => (sentence.english.includes(`: {${at}}`) ? said(one) : one)));
}

// Why a file was not taken.
export const why = ({ code, reason }) => translated(reason) ?? ((column && GENERAL[code]) || reason);

// The words for one, or for many.
export const many = (name, number, ...told) => say(number === 1 ? `${name}1` : name, number.toLocaleString(language), ...told);

export const count = (number) => (number === 1 ? say('song') : say('songs', number.toLocaleString(language)));

// Why something is refused: for this code in words of the page, else in the box's own.
export function refusal(code, words) {
  // How much is missing stands in the box's own words.
  const own = code === 'full' && words ? null : REFUSALS[code]?.[column];
  const told = own ?? translated(words) ?? ((column && GENERAL[code]) || words);
  return told ? told[0].toUpperCase() + told.slice(1) : say('away');
}

// Why something did not go out.
export const reasonOf = (sending) => said(sending.reason);

// How a song is protected: [headline, what to do].
export const lock = ({ headline, advice }) => [said(headline), said(advice)];

export const time = (seconds) => new Date(seconds * 1000).toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit' });
export const date = (text) => {
  const when = new Date(text);
  return Number.isNaN(when.getTime()) ? text : when.toLocaleDateString(language, { year: 'numeric', month: 'long', day: 'numeric' });
};

// Puts the words into what the page already shows.
export function translate() {
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll('[data-say]')) node.textContent = say(node.dataset.say);
  for (const node of document.querySelectorAll('[data-label]')) node.setAttribute('aria-label', say(node.dataset.label));
  for (const node of document.querySelectorAll('[data-hint]')) node.placeholder = say(node.dataset.hint);
}
