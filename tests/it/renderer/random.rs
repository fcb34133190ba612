//! Two control points at once press anything: the box never sticks, and what each was told is what the box is.

use std::collections::HashMap;
use std::time::Duration;

use konpo::hifi::command::Command;
use konpo::hifi::state::{Source, Transport};

use crate::renderer::rig::{Rig, Web, didl, until};

/// A generator that repeats (xorshift, Marsaglia 2003).
pub struct Dice(u64);

impl Dice {
    /// The same number, the same rolls; not 0.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

async fn press(rig: &Rig, web: &Web, dice: &mut Dice) {
    let number = dice.roll(5) as u16;
    let url = match dice.roll(8) {
        0 => format!("{}/missing{number}", web.at),
        1 => rig.own("10.9.9.9:8200"),
        2 => format!("{}/silent", web.at),
        _ => web.wav(200 + 150 * u32::from(number), [44_100, 48_000][usize::from(number % 2)], number),
    };
    let said = if dice.roll(2) == 0 { didl("Any", &url) } else { String::new() };
    let call = async |service: &str, action: &str, given: &[(&str, &str)]| {
        let refused = rig.call(service, action, given).await.err();
        assert!(matches!(refused, None | Some(701 | 710 | 711)), "{action} {given:?}: {refused:?}");
    };
    let volume = dice.roll(60).to_string();
    let target = format!("0:00:0{}", dice.roll(3));
    match dice.roll(14) {
        0..=2 => {
            call("transport", "SetAVTransportURI", &[("CurrentURI", &url), ("CurrentURIMetaData", &said)])
                .await
        }
        3 | 4 => {
            call("transport", "SetNextAVTransportURI", &[("NextURI", &url), ("NextURIMetaData", &said)]).await
        }
        5 | 6 => call("transport", "Play", &[]).await,
        7 => call("transport", "Pause", &[]).await,
        8 => call("transport", "Stop", &[]).await,
        9 => call("transport", "Next", &[]).await,
        10 => call("transport", "Previous", &[]).await,
        11 => call("transport", "Seek", &[("Unit", "REL_TIME"), ("Target", &target)]).await,
        12 => call("transport", "SetAVTransportURI", &[("CurrentURI", "")]).await,
        _ => call("rendering", "SetVolume", &[("DesiredVolume", &volume)]).await,
    }
    tokio::time::sleep(Duration::from_millis(dice.roll(30))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_apps_at_once_never_get_it_stuck_and_know_what_it_is() {
    let sequences = if std::env::var_os("KONPO_ALL").is_some() { 1000 } else { 40 };
    let (rig, web) = (Rig::new().await, Web::start(HashMap::new()));
    let (first, second) = (rig.listen("transport"), rig.listen("transport"));
    let volumes = rig.listen("rendering");
    for sequence in 1..=sequences {
        let (mut one, mut other) = (Dice(sequence * 2 + 1), Dice(sequence * 7919 + 3));
        let both = async |dice: &mut Dice| {
            for _ in 0..dice.roll(8) + 3 {
                press(&rig, &web, dice).await;
            }
        };
        tokio::join!(both(&mut one), both(&mut other));
        // It is stuck in nothing: a stop stops, and something else plays.
        rig.av("Stop", &[]).await;
        let state = rig.snapshot();
        assert_eq!(state.transport, Transport::Stopped, "{sequence}");
        let last = web.wav(60_000, 44_100, (sequence % 200) as u16);
        rig.set(&last, "").await;
        rig.play().await;
        rig.until("PLAYING").await;
        for told in [&first, &second] {
            told.until("AVTransportURI", &last).await;
            told.until("TransportState", "PLAYING").await;
            told.until("TransportStatus", "OK").await;
            told.until("NextAVTransportURI", "").await;
        }
        volumes.until("Volume", &rig.snapshot().volume.value().to_string()).await;
        let state = rig.snapshot();
        let Source::Guest { now, next: None, .. } = &state.source else { panic!("{:?}", state.source) };
        assert_eq!(state.current, Some(now.id), "{sequence}");
    }
    assert!(rig.snapshot().queue.entries.is_empty());
    rig.send(Command::SetGuest(None)).await;
    until("nothing is left", || rig.snapshot().current.is_none().then_some(())).await;
    println!("{sequences} sequences of two apps at once");
    rig.end().await;
}
