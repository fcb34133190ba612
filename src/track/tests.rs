//! Plain data that is written and read again.

use super::*;

#[test]
fn hashes_read_back_what_they_print() {
    let hash = Sha256([0xa5; 32]);
    assert_eq!(hash.to_string().parse(), Ok(hash));
    assert!("a5".parse::<Sha256>().is_err());
    assert!("é".repeat(32).parse::<Sha256>().is_err());
    let json = serde_json::to_string(&QuickKey([1; 16])).expect("plain data");
    assert_eq!(serde_json::from_str::<QuickKey>(&json).expect("as printed"), QuickKey([1; 16]));
}

#[test]
fn an_album_is_as_loud_as_its_energy_in_the_mean() {
    let track = |lufs, true_peak| Loudness { lufs, true_peak };
    let alike = Loudness::of_album([(track(-20.0, 0.5), Millis(7)), (track(-20.0, 0.9), Millis(90))]);
    assert!(alike.is_some_and(|it| (it.lufs + 20.0).abs() < 1e-9 && it.true_peak == 0.9));
    // Half of the time at a tenth of the energy.
    let halves = [(track(-10.0, 0.5), Millis(60_000)), (track(-20.0, 0.5), Millis(60_000))];
    assert!(Loudness::of_album(halves).is_some_and(|it| (it.lufs + 12.596).abs() < 0.001));
    assert_eq!(Loudness::of_album([]), None);
}

#[test]
fn a_lock_without_the_buyer_is_the_same_lock() {
    let lock = Protection::FairPlay { user_id: Some(4711) };
    assert_eq!(lock.without_personal(), Protection::FairPlay { user_id: None });
    assert_eq!(lock.without_personal().code(), lock.code());
    assert_eq!(Protection::PlayReady.without_personal(), Protection::PlayReady);
    let wm = |url: &str| Protection::WmDrm { license_url: url.into() };
    assert_eq!(wm("http://l.example/get?user=4711#x").without_personal(), wm("http://l.example/get"));
    assert_eq!(wm("http://hanako:1@l.example/a@b").without_personal(), wm("http://l.example/a@b"));
    let oma = |url: &str| Protection::OmaDrm2 { rights_issuer: url.into() };
    assert_eq!(oma("http://r.example/ri?u=4711").without_personal(), oma("http://r.example/ri"));
}

#[test]
fn a_purchase_without_the_buyer_keeps_the_store() {
    let fact = |place: &str, personal| Evidence { place: place.into(), text: "x".into(), personal };
    let license = Evidence { text: "http://l.example/get?user=4711".into(), ..fact("asf:license", false) };
    let purchase = Purchase {
        country: Some("JP".into()),
        item_id: Some("1".into()),
        transaction_id: Some("77".into()),
        account: Some("user@example.com".into()),
        order_id: Some("A-1".into()),
        evidence: vec![fact("mp4:ilst/apID", true), fact("mp4:ilst/cnID", false), license],
        ..Purchase::at("itunes", PurchaseLevel::Embedded)
    };
    assert!(purchase.is_personal());
    let shown = purchase.without_personal();
    assert!(!shown.is_personal());
    assert_eq!((shown.account, shown.transaction_id, shown.order_id), (None, None, None));
    let told: Vec<&str> = shown.evidence.iter().map(|fact| fact.text.as_str()).collect();
    assert_eq!(told, ["x", "http://l.example/get"]);
    assert_eq!(shown.store, "itunes");
}

#[test]
fn a_purchase_of_an_earlier_version_is_read() {
    let written = r#"{"store":"itunes","country":"JP","bought_at":null,"item_id":"1","album_id":null,
        "transaction_id":null,"account":null,"level":"embedded","evidence":[]}"#;
    let read: Purchase = serde_json::from_str(written).expect("a row of an earlier version");
    assert_eq!((read.isrc, read.price, read.order_id), (None, None, None));
    // What has none of the new facts is written as before.
    let again = Purchase::at("itunes", PurchaseLevel::Embedded);
    assert!(!serde_json::to_string(&again).expect("plain data").contains("isrc"));
}
