//! What is set as the next follows without a gap: held against the very samples that the output took.

use std::collections::HashMap;
use std::time::Duration;

use konpo::player::Knob;

use crate::renderer::rig::{Rig, Web, frame, frames_of, until};

/// Returns a stretch of one sound after the other: number, first place, frames.
fn stretches(samples: &[i32]) -> Vec<(u32, u32, usize)> {
    let mut found: Vec<(u32, u32, usize)> = Vec::new();
    for pair in samples.chunks(2).filter(|pair| pair != &[0, 0]) {
        let (left, right) = ((pair[0] >> 16) as i16, (pair[1] >> 16) as i16);
        let number = u32::from(right as u16) >> 7 & 0xff;
        let at = u32::from(left as u16) >> 1 | (u32::from(right as u16) & 0x7f) << 14;
        assert_eq!(frame(number, at & 0x001f_ffff), (left, right), "a sample that nobody sent");
        match found.last_mut() {
            Some((last, from, count)) if *last == number && *from + *count as u32 == at => *count += 1,
            _ => found.push((number, at, 1)),
        }
    }
    found
}

/// Returns the silent stretches between the first and the last sample: where each begins, and its frames.
fn holes(samples: &[i32]) -> Vec<(usize, usize)> {
    let frames: Vec<bool> = samples.chunks(2).map(|pair| pair == [0, 0]).collect();
    let first = frames.iter().position(|silent| !silent).unwrap_or(0);
    let last = frames.iter().rposition(|silent| !silent).unwrap_or(0);
    let mut at = 0;
    let mut found = Vec::new();
    for stretch in frames[first..=last].chunk_by(|one, other| one == other) {
        if stretch[0] {
            found.push((at, stretch.len()));
        }
        at += stretch.len();
    }
    found
}

async fn check(tracks: &[(u32, u16)], set_next_before_end: Option<Duration>) {
    let (rig, web) = (Rig::with(Knob::Fixed).await, Web::start(HashMap::new()));
    let total: u32 = tracks.iter().map(|(millis, _)| frames_of(*millis, 44_100)).sum();
    rig.sound.capture(total as usize * 2 + 400_000);
    let url = |at: usize| web.wav(tracks[at].0, 44_100, tracks[at].1);
    rig.set(&url(0), "").await;
    rig.play().await;
    rig.until("PLAYING").await;
    let told = rig.listen("transport");
    for at in 1..tracks.len() {
        if let Some(before) = set_next_before_end {
            let length = Duration::from_millis(tracks[at - 1].0.into());
            until("shortly before the end", || {
                let state = rig.snapshot();
                let place = Duration::from(state.position.now(std::time::Instant::now()));
                (state.starts == at as u64 && place + before >= length).then_some(())
            })
            .await;
        }
        rig.set_next(&url(at), "").await;
        until("the next one sounds", || (rig.snapshot().starts == at as u64 + 1).then_some(())).await;
    }
    rig.until("STOPPED").await;
    let samples = rig.sound.captured();
    let want: Vec<(u32, u32, usize)> = tracks
        .iter()
        .map(|(millis, number)| (u32::from(*number), 0, frames_of(*millis, 44_100) as usize))
        .collect();
    assert_eq!(stretches(&samples), want);
    assert_eq!(holes(&samples), [], "silence between the tracks");
    let states = told.all("TransportState");
    let (last, before) = states.split_last().expect("told");
    assert!(last == "STOPPED" || before.is_empty(), "{states:?}");
    assert!(before.iter().all(|state| state == "PLAYING"), "{states:?}");
    println!("{} frames of {} tracks without one of silence between", total, tracks.len());
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_album_set_track_by_track_is_one_sound() {
    check(&[(2100, 1), (1703, 2), (1999, 3), (900, 4)], None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_that_comes_in_the_last_moment_follows_without_a_gap() {
    check(&[(3000, 1), (2000, 2)], Some(Duration::from_millis(700))).await;
}

/// All of the first is decoded by then: it follows at once, with no state between.
#[tokio::test(flavor = "multi_thread")]
async fn a_next_300_ms_before_the_end_is_played_and_no_stop_is_told() {
    let (rig, web) = (Rig::with(Knob::Fixed).await, Web::start(HashMap::new()));
    rig.sound.capture(1_000_000);
    let (one, two) = (web.wav(3000, 44_100, 1), web.wav(2000, 44_100, 2));
    rig.start(&one).await;
    let told = rig.listen("transport");
    until("300 ms before the end", || {
        let place = Duration::from(rig.snapshot().position.now(std::time::Instant::now()));
        (place >= Duration::from_millis(2700)).then_some(())
    })
    .await;
    rig.set_next(&two, "").await;
    until("it sounds", || (rig.snapshot().starts == 2).then_some(())).await;
    told.until("AVTransportURI", &two).await;
    let states = told.all("TransportState");
    let before =
        states.split_last().filter(|(last, _)| *last == "STOPPED").map_or(&*states, |(_, before)| before);
    assert!(before.iter().all(|state| state == "PLAYING"), "{states:?}");
    rig.until("STOPPED").await;
    let samples = rig.sound.captured();
    let whole = [(1, 0, frames_of(3000, 44_100) as usize), (2, 0, frames_of(2000, 44_100) as usize)];
    assert_eq!(stretches(&samples), whole);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_song_twice_in_a_row_is_two_sounds_without_a_gap() {
    check(&[(2500, 7), (2500, 7)], None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_rate_is_one_event_and_no_stop() {
    let (rig, web) = (Rig::with(Knob::Fixed).await, Web::start(HashMap::new()));
    rig.sound.capture(2_000_000);
    let (one, two) = (web.wav(1500, 44_100, 1), web.wav(1500, 48_000, 2));
    rig.set(&one, "").await;
    rig.set_next(&two, "").await;
    rig.play().await;
    rig.until("PLAYING").await;
    let told = rig.listen("transport");
    rig.until_uri(&two).await;
    rig.until("STOPPED").await;
    told.until("TransportState", "STOPPED").await;
    let states = told.all("TransportState");
    assert_eq!(states.iter().filter(|state| *state != "PLAYING").count(), 1, "{states:?}");
    let changes = told
        .told()
        .iter()
        .skip(1)
        .filter(|event| event.iter().any(|(name, _)| name == "AVTransportURI"))
        .count();
    assert_eq!(changes, 1, "{:?}", told.told());
    let heard = stretches(&rig.sound.captured());
    assert_eq!(heard, [(1, 0, frames_of(1500, 44_100) as usize), (2, 0, frames_of(1500, 48_000) as usize)]);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_next_that_cannot_be_fetched_cuts_nothing_and_is_told_at_its_turn() {
    let (rig, web) = (Rig::with(Knob::Fixed).await, Web::start(HashMap::new()));
    rig.sound.capture(1_000_000);
    let (one, missing) = (web.wav(2000, 44_100, 1), format!("{}/missing.flac", web.at));
    rig.set(&one, "").await;
    rig.set_next(&missing, "").await;
    rig.play().await;
    until("it was asked for", || web.asked().contains(&"/missing.flac".to_owned()).then_some(())).await;
    assert_eq!(rig.av("GetTransportInfo", &[]).await["CurrentTransportStatus"], "OK");
    rig.until("STOPPED").await;
    assert_eq!(stretches(&rig.sound.captured()), [(1, 0, frames_of(2000, 44_100) as usize)], "whole");
    assert_eq!(rig.av("GetTransportInfo", &[]).await["CurrentTransportStatus"], "ERROR_OCCURRED");
    assert_eq!(rig.av("GetMediaInfo", &[]).await["CurrentURI"], missing);
    // The app goes on with another one.
    rig.start(&web.wav(60_000, 44_100, 3)).await;
    assert_eq!(rig.av("GetTransportInfo", &[]).await["CurrentTransportStatus"], "OK");
    rig.end().await;
}
