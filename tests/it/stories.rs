//! The stories of product.md that need no network: each in its words, asserting what a person sees.

use http::StatusCode;
use konpo::library::NewCopy;
use konpo::offer::{Key, Provenance, Right};
use konpo::track::TrackId;
use serde_json::{Value, json};

use crate::api::{Bench, Who, arrival, shelve};
use crate::mint;

async fn get(bench: &mut Bench, who: Who, path: &str) -> Value {
    let (status, body) = bench.ask(who, "GET", path, None).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

/// Waits until a notice begins with these words.
async fn notice(bench: &mut Bench, words: &str) -> String {
    for _ in 0..600 {
        let state = get(bench, Who::Room, "/api/state").await;
        let notices = state["notices"].as_array().cloned().unwrap_or_default();
        let said = notices.iter().filter_map(|notice| notice["words"].as_str());
        if let Some(found) = said.into_iter().find(|said| said.starts_with(words)) {
            return found.to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no notice begins with {words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_song_bought_with_protection_years_ago_named_kept_and_unlocked_when_its_free_copy_comes() {
    let mut bench = Bench::new().await.expect("started");
    shelve(&bench.library, 1, "2007.m4p", &mint::itunes_locked()).await;
    let id = TrackId(1);

    // Named: where and when it was bought, that it is locked, and what to do.
    let bought = get(&mut bench, Who::Owner, "/api/purchases").await;
    let item = &bought["items"][0];
    assert_eq!((&bought["total"], &item["id"]), (&json!(1), &json!(1)), "{bought}");
    assert_eq!(
        (&item["store_name"], &item["at"]),
        (&json!("the iTunes Store"), &json!("2007-10-16 12:34:56"))
    );
    assert_eq!((&item["level"], &item["locked"]), (&json!("embedded"), &json!(true)));
    assert_eq!(item["protection"]["code"], "drm.fairplay");
    let advice = item["protection"]["advice"].as_str().expect("told");
    assert!(advice.contains("Download the protection-free version from your Apple purchases"), "{advice}");
    let track = get(&mut bench, Who::Room, "/api/tracks/1").await;
    assert_eq!((&track["title"], &track["playable"]), (&json!("夜"), &json!(false)));
    // Absent from what plays by itself.
    assert!(bench.library.newest(10).await.expect("read").is_empty());
    assert!(bench.library.shuffled(10, 1).await.expect("read").is_empty());

    // Kept: it is marked and named in a queue before it can be heard.
    bench.library.set_favourite(id, Some(konpo::units::UnixTime(5))).await.expect("marked");
    bench.library.note_play(id, konpo::units::UnixTime(6)).await.expect("noted");

    // Unlocked: the free copy takes over the same track.
    shelve(&bench.library, 2, "2026.m4a", &mint::itunes_plus()).await;
    let said = notice(&mut bench, "unlocked: ").await;
    assert_eq!(said, "unlocked: 夜 by Aimer was copy-protected and can be played now");
    let track = get(&mut bench, Who::Owner, "/api/tracks/1").await;
    assert_eq!((&track["playable"], &track["copies"]), (&json!(true), &json!(2)), "{track}");
    let story = track["story"].as_str().expect("told");
    assert!(
        story.starts_with("Bought 16 October 2007 at the iTunes Store, put into the drop folder on "),
        "{story}"
    );
    assert!(story.contains(", unlocked by a free file on "), "{story}");
    assert_eq!(bench.library.times_played(id).await.expect("read"), 1);
    let favourites = get(&mut bench, Who::Room, "/api/library/favourites").await;
    assert_eq!((&favourites["total"], &favourites["items"][0]["id"]), (&json!(1), &json!(1)));
    assert_eq!(bench.library.newest(10).await.expect("read"), [id]);
    let bought = get(&mut bench, Who::Owner, "/api/purchases?by=store&locked=false").await;
    assert_eq!((&bought["total"], &bought["groups"][0]["name"]), (&json!(1), &json!("the iTunes Store")));
    assert_eq!(bought["items"][0]["unlocked"]["by"], "item", "{bought}");
    assert_eq!(get(&mut bench, Who::Owner, "/api/purchases?locked=true").await["total"], 0);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_sees_its_own_purchases_without_the_buyer_and_the_room_none() {
    let mut bench = Bench::new().await.expect("started");
    shelve(&bench.library, 1, "plus.m4a", &mint::itunes_plus()).await;
    let (status, _) = bench.ask(Who::Room, "GET", "/api/purchases", None).await;
    assert!(status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN, "{status}");
    // The room hears how the track came, not that it was bought.
    let story = get(&mut bench, Who::Room, "/api/tracks/1").await["story"].to_string();
    assert!(story.contains("Put into the drop folder") && !story.contains("ought"), "{story}");
    // A paired device sees what it brought itself, without the buyer. Its key is the token that `Who::Token` sends.
    let library = bench.library.clone();
    let key = Key::Cookie(blake3::hash(b"wrong").to_hex().to_string());
    let device = library.add_device(key, "Yuki's phone".into(), Right::Member).await.expect("added");
    let nothing = get(&mut bench, Who::Token, "/api/purchases").await;
    assert_eq!((&nothing["total"], &nothing["items"]), (&json!(0), &json!([])));
    assert!(get(&mut bench, Who::Token, "/api/tracks/1").await["story"].to_string().contains("Put into"));
    let brought = Provenance {
        way: "upnp".into(),
        device: format!("device:{}", device.0),
        device_name: "Yuki's phone".into(),
        ..Provenance::default()
    };
    let again = arrival(&library, 2, "again.m4a", &mint::itunes_plus());
    library.add(NewCopy { provenance: brought, ..again }).await.expect("added");
    let own = get(&mut bench, Who::Token, "/api/purchases?by=device").await;
    assert_eq!(
        (&own["total"], &own["items"][0]["id"], &own["items"][0]["store"]),
        (&json!(1), &json!(1), &json!("itunes"))
    );
    assert_eq!(own["groups"][0]["name"], "Yuki's phone", "{own}");
    let whole = get(&mut bench, Who::Owner, "/api/purchases").await.to_string();
    for name in ["user@example.com", "Hanako Yamada", "777001"] {
        assert!(whole.contains(name), "the owner does not see {name}: {whole}");
        assert!(!own.to_string().contains(name), "a member sees {name}: {own}");
    }
    for personal in ["by=person", "person=user@example.com"] {
        let (status, _) = bench.ask(Who::Token, "GET", &format!("/api/purchases?{personal}"), None).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{personal}");
    }
    let story = get(&mut bench, Who::Token, "/api/tracks/1").await["story"].to_string();
    assert!(story.contains("Bought 16 October 2007 at the iTunes Store"), "{story}");
    let another =
        library.add_device(Key::Udn("1".into()), "Phone".into(), Right::Member).await.expect("added");
    let names = library.names_of_device(another).await.expect("read");
    assert_eq!(names, ["udn:1".to_owned(), format!("device:{}", another.0)]);
    for wrong in ["by=buyer", "sort=up", "limit=0", "year=x", "locked=maybe", "q=x"] {
        let (status, _) = bench.ask(Who::Owner, "GET", &format!("/api/purchases?{wrong}"), None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    drop(library);
    bench.end().await;
}
