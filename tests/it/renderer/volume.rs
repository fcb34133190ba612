//! One knob: turned by an app or by any other face, and told to all.

use konpo::hifi::command::Command;
use konpo::player::Knob;
use konpo::units::Volume;

use crate::renderer::rig::Rig;

const MASTER: (&str, &str) = ("Channel", "Master");

#[tokio::test(flavor = "multi_thread")]
async fn volume_and_mute_are_those_of_the_box_both_ways() {
    let rig = Rig::new().await;
    let told = rig.listen("rendering");
    assert_eq!(told_first(&told).await, ["FactoryDefaults", "0", "25", "-9248"]);
    rig.rc("SetVolume", &[MASTER, ("DesiredVolume", "40")]).await;
    assert_eq!(rig.snapshot().volume.value(), 40);
    told.until("Volume", "40").await;
    rig.rc("SetMute", &[MASTER, ("DesiredMute", "true")]).await;
    assert!(rig.snapshot().mute);
    told.until("Mute", "1").await;
    assert_eq!(rig.rc("GetVolume", &[MASTER]).await["CurrentVolume"], "40", "mute is not the knob");
    rig.rc("SelectPreset", &[("PresetName", "FactoryDefaults")]).await;
    assert!(rig.snapshot().mute, "a preset makes nothing louder");
    assert_eq!(rig.snapshot().volume.value(), 25);
    rig.rc("SetVolume", &[MASTER, ("DesiredVolume", "40")]).await;
    assert!(!rig.snapshot().mute, "turned up it is heard again");
    rig.send(Command::SetMute(true)).await;
    rig.send(Command::SetMute(false)).await;
    rig.send(Command::SetVolume(Volume::new(30).expect("in range"))).await;
    told.until("Volume", "30").await;
    told.until("Mute", "0").await;
    assert_eq!(rig.rc("GetMute", &[MASTER]).await["CurrentMute"], "0");
    assert_eq!(rig.call("rendering", "SetVolume", &[MASTER, ("DesiredVolume", "101")]).await, Err(601));
    assert_eq!(rig.call("rendering", "GetVolume", &[("Channel", "LF")]).await, Err(402));
    assert_eq!(rig.call("rendering", "GetVolume", &[("InstanceID", "3"), MASTER]).await, Err(702));
    // A preset makes nothing louder.
    rig.rc("SelectPreset", &[("PresetName", "FactoryDefaults")]).await;
    assert_eq!(rig.snapshot().volume.value(), 25);
    rig.rc("SetVolume", &[MASTER, ("DesiredVolume", "10")]).await;
    rig.rc("SelectPreset", &[("PresetName", "FactoryDefaults")]).await;
    assert_eq!(rig.snapshot().volume.value(), 10);
    assert_eq!(rig.call("rendering", "SelectPreset", &[("PresetName", "Loud")]).await, Err(701));
    rig.end().await;
}

async fn told_first(told: &crate::renderer::rig::Listener) -> [String; 4] {
    told.until("Volume", "25").await;
    ["PresetNameList", "Mute", "Volume", "VolumeDB"].map(|name| told.last(name).expect("told"))
}

#[tokio::test(flavor = "multi_thread")]
async fn decibels_are_another_scale_of_the_same_knob() {
    let rig = Rig::new().await;
    let range = rig.rc("GetVolumeDBRange", &[MASTER]).await;
    assert_eq!((range["MinValue"].as_str(), range["MaxValue"].as_str()), ("-15360", "0"));
    for volume in [0u8, 10, 11, 25, 50, 99, 100] {
        rig.rc("SetVolume", &[MASTER, ("DesiredVolume", &volume.to_string())]).await;
        let decibels = rig.rc("GetVolumeDB", &[MASTER]).await["CurrentVolume"].clone();
        rig.rc("SetVolumeDB", &[MASTER, ("DesiredVolume", &decibels)]).await;
        let back = rig.snapshot().volume.value();
        assert_eq!(back, if volume <= 10 { 0 } else { volume }, "{decibels}");
    }
    rig.rc("SetVolumeDB", &[MASTER, ("DesiredVolume", "-4624")]).await;
    assert_eq!(rig.snapshot().volume.value(), 50, "-18 dB");
    assert_eq!(rig.call("rendering", "SetVolumeDB", &[MASTER, ("DesiredVolume", "1")]).await, Err(601));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_a_slider_ends_at_its_last_value() {
    let rig = Rig::new().await;
    let told = rig.listen("rendering");
    for volume in (1..=60).chain((20..60).rev()) {
        rig.rc("SetVolume", &[MASTER, ("DesiredVolume", &volume.to_string())]).await;
    }
    told.until("Volume", "20").await;
    assert_eq!(rig.snapshot().volume.value(), 20);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_volume_is_told_as_full_and_takes_no_turn() {
    let rig = Rig::with(Knob::Fixed).await;
    assert_eq!(rig.rc("GetVolume", &[MASTER]).await["CurrentVolume"], "100");
    rig.rc("SetVolume", &[MASTER, ("DesiredVolume", "10")]).await;
    assert_eq!(rig.rc("GetVolume", &[MASTER]).await["CurrentVolume"], "100");
    assert_eq!(rig.call("rendering", "SetMute", &[MASTER, ("DesiredMute", "1")]).await, Err(501));
    rig.end().await;
}
