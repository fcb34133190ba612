//! Every sentence that the box says to people, with its code, in English and Japanese. `{0}`, `{1}` … stand for what is told.
//!
//! A sentence that is one of these is read back by [`crate::words::Words::from`]: so it has its code and its Japanese wherever
//! it goes. `tests/it/words.rs` holds the sources against this table.

use super::{Sentence, more};

/// Returns all of them.
pub(super) fn all() -> impl Iterator<Item = &'static Sentence> {
    let here = [NOTICES, DISK, OUTPUT, FILES, ARCHIVES];
    let there = [more::DEVICES, more::SENDS, more::DOOR, more::LOCKS, more::PLAYING];
    here.into_iter().chain(there).flatten()
}

/// Notices of the box, what is told by its loop first.
const NOTICES: &[Sentence] = &[
    (
        "kept_quiet",
        "what {0} sent stays on the shelf: these are quiet hours",
        "静音時間中なので、{0}から届いた曲は保存だけしました。",
    ),
    (
        "kept_standby",
        "what {0} sent stays on the shelf: the box is in standby",
        "スタンバイ中なので、{0}から届いた曲は保存だけしました。",
    ),
    (
        "queue_full",
        "a song from {0} stays on the shelf: the queue is full",
        "再生リストがいっぱいなので、{0}から届いた曲は保存だけしました。",
    ),
    (
        "last_track",
        "Quiet hours: konpo stops behind this track.",
        "静音時間になりました。この曲の後で止まります。",
    ),
    (
        "clock_unknown",
        "The clock was not set since power-on, so quiet hours apply until it is.",
        "電源を入れてから時計が合っていないので、合うまで静音時間として扱います。",
    ),
    (
        "unlocked",
        "unlocked: {0} was copy-protected and can be played now",
        "保護されていた「{0}」が再生できるようになりました。",
    ),
    (
        "unlocked_by",
        "unlocked: {0} by {1} was copy-protected and can be played now",
        "保護されていた{1}の「{0}」が再生できるようになりました。",
    ),
    (
        "unlocked_many",
        "unlocked: {0} songs that were copy-protected can be played now",
        "保護されていた{0}曲が再生できるようになりました。",
    ),
    ("cannot_play", "{0} cannot be played: {1}", "「{0}」を再生できません：{1}"),
    ("wrote", "{0} writes: {1}", "{0}からのメッセージ：{1}"),
    (
        "queue_lost",
        "The queue of last time could not be read; it starts empty.",
        "前回の再生リストを読めなかったため、空から始めます。",
    ),
    ("takes_again", "music can come in again", "また曲を受け取れるようになりました。"),
    ("test_failed", "The test sound cannot be played: {0}", "テスト音を鳴らせません：{0}"),
    (
        "port_moved",
        "Port {0} is taken by {1}: the page is at port {2} now",
        "ポート{0}は{1}が使用中のため、このページはポート{2}に移りました。",
    ),
    (
        "localsend_port",
        "Port {0} is taken by another program: phones with LocalSend cannot send",
        "ポート{0}が他のプログラムで使用中のため、LocalSendからは送れません。",
    ),
    ("localsend_off", "Phones with LocalSend cannot send: {0}", "LocalSendからは送れません：{0}"),
    (
        "settings_aside",
        "The settings of the page could not be read; they are in {0} now.",
        "ページで決めた設定を読めなかったため、{0}に移しました。",
    ),
    (
        "settings_unfit",
        "What the page set as {0} does not hold: {1}",
        "ページで決めた設定「{0}」は使えません：{1}",
    ),
];

/// The music disk.
const DISK: &[Sentence] = &[
    ("disk_away", "the music disk is not there: {0}", "音楽用ディスクが見つかりません：{0}"),
    (
        "disk_read_only",
        "the music disk can only be read: mount it for writing, or give it to konpo (sudo chown -R konpo: {0})",
        "音楽用ディスクに書き込めません。書き込めるようにマウントするか、konpoに所有権を渡してください（sudo chown -R konpo: {0}）。",
    ),
    (
        "disk_not_ours",
        "konpo may not write to the music folder (sudo chown -R konpo: {0}): {1}",
        "konpoは音楽フォルダに書き込めません（sudo chown -R konpo: {0}）：{1}",
    ),
    (
        "disk_full",
        "the disk is full: {0} more must be free to take {1} ({2} are free)",
        "ディスクがいっぱいです。{1}を受け取るには、あと{0}の空きが必要です（空き {2}）。",
    ),
    ("disk_is_full", "the disk is full", "ディスクがいっぱいです"),
    ("disk_held", "another konpo (process {0}) holds {1}", "別のkonpo（プロセス{0}）が{1}を使っています"),
    ("folder_unknown", "look at the music folder {0}: {1}", "音楽フォルダ{0}を調べられません：{1}"),
    ("marker_unread", "read the marker {0}: {1}", "音楽用ディスクの印{0}を読めません：{1}"),
    ("marker_unseen", "look at the marker {0}: {1}", "音楽用ディスクの印{0}を調べられません：{1}"),
    ("marker_unwritten", "write the marker {0}: {1}", "音楽用ディスクの印{0}を書けません：{1}"),
    ("space_unknown", "ask for the free space: {0}", "空き容量を調べられません：{0}"),
    ("root_unread", "lock {0}: {1}", "{0}をロックできません：{1}"),
];

/// The output.
const OUTPUT: &[Sentence] = &[
    (
        "output_pulled",
        "the output {0} was pulled out: konpo waits for it",
        "音声出力（{0}）が外されました。戻るのを待っています。",
    ),
    (
        "output_none",
        "no sound device was found: nothing is heard",
        "音声出力が見つからないため、音は出ません。",
    ),
    ("output_gone", "the output {0} is not there", "音声出力（{0}）がありません"),
    ("output_held", "the device {0} is held by {1}", "音声出力（{0}）は{1}が使用中です"),
    ("output_refuses", "the device {0} does not take {1}", "音声出力（{0}）は{1}に対応していません"),
    ("output_forms", "any form of samples that konpo has", "konpoの音声形式"),
    ("output_silent", "no sound device: the sound goes nowhere", "音声出力がないため、音は出ません"),
    ("output_unplayed", "play on the device {0}: {1}", "音声出力（{0}）で再生できません：{1}"),
    ("server_none", "no sound server listens here", "サウンドサーバーが動いていません"),
    ("server_silent", "the sound server does not answer", "サウンドサーバーが応答しません"),
    ("server_closed", "the sound server has closed the stream", "サウンドサーバーが音声を切断しました"),
    (
        "server_left_out",
        "this konpo is built without sound servers: {0}",
        "このkonpoはサウンドサーバーに対応していません：{0}",
    ),
    (
        "server_asleep",
        "the sound server has suspended the device {0}",
        "サウンドサーバーが音声出力（{0}）を止めています",
    ),
    ("sound_ended", "the thread of the sound ended", "音声の処理が止まりました"),
    (
        "mixer_missing",
        "the card {0} has no mixer element {1}; it has: {2}. konpo does the volume itself",
        "{0}に音量調整「{1}」がありません（あるもの：{2}）。konpoが音量を調整します。",
    ),
    ("mixer_gone", "the card's mixer '{0}' is gone", "音量調整「{0}」がなくなりました"),
    ("mixer_by_konpo", "konpo does the volume itself", "konpoが音量を調整します"),
    (
        "mixer_unfit",
        "the card's mixer '{0}' {1}: konpo does the volume itself",
        "音量調整「{0}」は使えないため（{1}）、konpoが音量を調整します",
    ),
    ("no_resampling", "konpo cannot turn {0} into {1}", "{0}を{1}に変換できません"),
];

/// What is wrong with a file, or became of it.
const FILES: &[Sentence] = &[
    ("file_empty", "the file is empty", "ファイルが空です"),
    ("file_zeros", "the file holds nothing but zeros", "ファイルの中身がすべてゼロです"),
    ("file_head", "the file's head is larger than any real one", "ファイルの先頭部分が壊れています"),
    ("file_cut", "the file breaks off in its head", "ファイルが途中で切れています"),
    ("file_cut_tag", "the file breaks off inside its tag", "ファイルが途中で切れています"),
    ("cut_head", "the {0} file breaks off in its head", "{0}ファイルが途中で切れています"),
    ("cut_first", "the {0} file breaks off before its first sound", "{0}ファイルが音の手前で切れています"),
    ("cut_before", "the {0} file breaks off before its sound", "{0}ファイルが音の手前で切れています"),
    (
        "cut_table",
        "the {0} file breaks off: its table of contents is missing",
        "{0}ファイルが途中で切れています（目次がありません）",
    ),
    ("cut_inside", "the {0} file breaks off inside {1}", "{0}ファイルが途中で切れています（{1}）"),
    (
        "cut_part",
        "the {0} file breaks off: the last {1} % are missing",
        "{0}ファイルが途中で切れています（最後の{1}%がありません）",
    ),
    ("broken_head", "the head of the {0} file is broken", "{0}ファイルの先頭部分が壊れています"),
    ("too_many_boxes", "the {0} file has more boxes than any real one", "{0}ファイルの構造が壊れています"),
    (
        "too_many_elements",
        "the {0} file has more elements than any real one",
        "{0}ファイルの構造が壊れています",
    ),
    ("no_sound", "this {0} file holds no sound", "この{0}ファイルには音が入っていません"),
    ("no_sound_in", "the {0} file holds no sound", "{0}ファイルに音が入っていません"),
    (
        "index_behind",
        "the index of this MP4 file stands behind its sound, and its server does not give parts of a file",
        "このMP4ファイルは索引が後ろにあり、送り側が部分的な読み出しに対応していません",
    ),
    ("not_known", "this is not music in a form konpo knows", "konpoが知っている形式の音楽ではありません"),
    (
        "not_ogg",
        "this is not music: an Ogg file without Vorbis, Opus or FLAC",
        "音楽ではありません（Vorbis・Opus・FLACを含まないOggファイル）",
    ),
    ("not_film", "this is not music: it is a film", "音楽ではなく、映像です"),
    ("not_picture", "this is not music: it looks like a picture", "音楽ではなく、画像のようです"),
    ("not_zip", "this is not music: it looks like a ZIP archive", "音楽ではなく、ZIPのようです"),
    ("not_pdf", "this is not music: it looks like a PDF document", "音楽ではなく、PDFのようです"),
    ("not_web", "this is not music: it looks like a web page", "音楽ではなく、ウェブページのようです"),
    ("not_text", "this is not music: it looks like text", "音楽ではなく、文章のようです"),
    ("unreadable", "it cannot be read", "読めません"),
    ("bytes_gone", "its bytes are gone", "中身がなくなりました"),
    ("facts_gone", "its facts are gone", "受け取りの記録がなくなりました"),
    (
        "only_bought",
        "only bought music is taken, and nothing in this file says so",
        "購入した曲だけを受け取る設定です。このファイルには購入の印がありません",
    ),
    (
        "no_mark",
        "it carries no store's mark, and only purchases are taken",
        "購入した曲だけを受け取る設定です。ストアの印がありません",
    ),
    (
        "broke_off",
        "the transfer broke off after {0} of {1} bytes",
        "{1}バイト中{0}バイトで転送が途切れました",
    ),
    ("too_many_bytes", "more bytes came than were announced", "予告より多くのデータが届きました"),
    ("sender_left", "its sender did not come back with the rest", "送り手が残りを送りに戻りませんでした"),
    ("sender_away", "its sender did not come back", "送り手が戻りませんでした"),
    ("sender_broke_off", "its sender broke off", "送り手が途中でやめました"),
    ("sender_took_back", "its sender took it back", "送り手が取り消しました"),
    ("wrong_sum", "its sum is not the one that was stated", "届いたデータの確認値が一致しません"),
    ("bytes_came", "{0} of {1} bytes came", "{1}バイト中{0}バイトだけ届きました"),
    ("on_its_way", "{0} is on its way already", "{0}はすでに受信中です"),
    ("this_on_its_way", "this file is on its way already", "このファイルはすでに受信中です"),
    ("here_already", "the file is here already", "このファイルはすでにあります"),
    ("too_large", "files above {0} are not taken", "{0}を超えるファイルは受け取れません"),
    ("one_too_large", "{0}: files above {1} are not taken", "{0}：{1}を超えるファイルは受け取れません"),
    ("is_no_music", "{0} is no music", "「{0}」は音楽ではありません"),
    ("no_name", "{0} is no name of a file", "{0}はファイル名として使えません"),
    ("file_shorter", "the file is shorter now", "ファイルが短くなりました"),
    ("file_other", "the file is another one now", "別のファイルに変わりました"),
    ("other_length", "the file has another length now", "ファイルの長さが変わりました"),
    ("more_here", "more bytes are here than the file has now", "ファイルが短くなりました"),
    ("system_file", "it belongs to another system", "他のシステムのファイルです"),
    ("shutting_down", "konpo is stopping", "konpoは終了中です"),
];

/// Archives.
const ARCHIVES: &[Sentence] = &[
    ("zip_none", "no music came out of the archive", "ZIPに曲がありませんでした"),
    (
        "zip_none_left",
        "no music came out of the archive; left in it: {0}",
        "ZIPに曲がありませんでした（中にあったもの：{0}）",
    ),
    ("zip_one", "one song came out of the archive", "ZIPから1曲取り出しました"),
    (
        "zip_one_left",
        "one song came out of the archive; left in it: {0}",
        "ZIPから1曲取り出しました（残したもの：{0}）",
    ),
    ("zip_many", "{0} songs came out of the archive", "ZIPから{0}曲取り出しました"),
    (
        "zip_many_left",
        "{0} songs came out of the archive; left in it: {1}",
        "ZIPから{0}曲取り出しました（残したもの：{1}）",
    ),
    ("zip_in_zip", "an archive in an archive is not opened", "ZIPの中のZIPは開きません"),
    (
        "zip_many_files",
        "archives of more than {0} files are not taken",
        "{0}ファイルを超えるZIPは受け取れません",
    ),
    (
        "zip_too_large",
        "more than 64 GB would come out of this archive",
        "展開すると64 GBを超えるZIPは受け取れません",
    ),
    ("zip_links", "an archive with links or devices in it is not taken", "リンクを含むZIPは受け取れません"),
    (
        "zip_climbs",
        "an archive whose names lead elsewhere is not taken",
        "他の場所を指す名前を含むZIPは受け取れません",
    ),
    (
        "zip_bomb",
        "far more would come out of this archive than lies in it",
        "展開すると極端に大きくなるZIPは受け取れません",
    ),
    (
        "zip_overlap",
        "an archive whose files lie on each other is not taken",
        "中身が重なっているZIPは受け取れません",
    ),
    ("zip_damaged", "the archive is damaged: {0}", "ZIPが壊れています：{0}"),
    ("zip_dir_cut", "its directory breaks off", "目次が途中で切れています"),
    ("zip_file_cut", "a file breaks off", "ファイルが途中で切れています"),
    ("zip_misplaced", "a file is not where it should be", "ファイルの位置が違います"),
    ("zip_file_damaged", "a file in it is damaged", "中のファイルが壊れています"),
    ("zip_more", "more comes out than it says", "記載より大きなファイルです"),
    ("zip_dir_nowhere", "its directory lies nowhere", "目次がありません"),
    ("zip_dir_damaged", "its directory is damaged", "目次が壊れています"),
    ("zip_password", "it is locked by a password", "パスワードで保護されています"),
    ("zip_method", "it is packed in a way that is not known here", "対応していない圧縮方式です"),
    ("zip_entry_large", "it is too large", "大きすぎます"),
    ("zip_entry_bomb", "far more would come out of it than lies in it", "展開すると極端に大きくなります"),
    (
        "itunes_read",
        "read: {0} of its {1} songs are here; {2} were bought, {3} of that was not known",
        "読み込みました：{1}曲中{0}曲がここにあります。購入曲は{2}曲、うち{3}曲は新しく分かりました",
    ),
];
