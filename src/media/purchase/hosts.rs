//! Stores by the host of an address and by a name in words (reference purchases 1.3).

/// Returns the store that a web address belongs to: its registrable domain is compared, never a part of the text.
pub fn store_of(address: &str) -> Option<&'static str> {
    let host = host_of(address)?;
    let belongs =
        |domain: &str| host == domain || host.strip_suffix(domain).is_some_and(|h| h.ends_with('.'));
    let listed = HOSTS.iter().find(|(domain, _)| belongs(domain)).map(|(_, store)| *store);
    listed.or_else(|| AMAZON.iter().any(|end| belongs(&format!("amazon.{end}"))).then_some("amazon"))
}

/// Returns the host of a web address in small letters; none of `http://:/`, which the parser lets pass.
pub fn host_of(address: &str) -> Option<String> {
    let uri: http::Uri = address.trim().parse().ok()?;
    let host = uri.host().filter(|host| !host.is_empty())?;
    matches!(uri.scheme_str(), Some("http" | "https")).then(|| host.to_ascii_lowercase())
}

/// Returns the store that words name, as taggers and distributors write it: `Amazon.com`, `iTunes Store`. What is not known
/// is returned as it is written, without what is longer than a name.
pub fn store_named(words: &str) -> Option<String> {
    let words = words.trim();
    let plain = words.to_lowercase();
    let known = NAMES.iter().find(|(name, _)| plain.contains(name)).map(|(_, store)| (*store).to_owned());
    let as_written = || words.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect::<String>();
    known
        .or_else(|| store_of(words).map(str::to_owned))
        .or_else(|| Some(as_written()))
        .filter(|name| !name.is_empty())
}

const HOSTS: [(&str, &str); 18] = [
    ("bandcamp.com", "bandcamp"),
    ("qobuz.com", "qobuz"),
    ("beatport.com", "beatport"),
    ("7digital.com", "7digital"),
    ("hdtracks.com", "hdtracks"),
    ("junodownload.com", "juno"),
    ("mora.jp", "mora"),
    ("ototoy.jp", "ototoy"),
    ("e-onkyo.com", "e-onkyo"),
    ("music.apple.com", "itunes"),
    ("itunes.apple.com", "itunes"),
    ("play.google.com", "google"),
    ("recochoku.jp", "recochoku"),
    ("prostudiomasters.com", "prostudiomasters"),
    ("boomkat.com", "boomkat"),
    ("bleep.com", "bleep"),
    ("emusic.com", "emusic"),
    ("traxsource.com", "traxsource"),
];
/// Countries of the one store that has a domain in each.
const AMAZON: [&str; 20] = [
    "com", "co.jp", "co.uk", "de", "fr", "it", "es", "ca", "in", "com.br", "com.mx", "com.au", "nl", "se",
    "pl", "sg", "ae", "sa", "com.tr", "com.be",
];
const NAMES: [(&str, &str); 17] = [
    ("amazon", "amazon"),
    ("itunes", "itunes"),
    ("apple music", "itunes"),
    ("bandcamp", "bandcamp"),
    ("qobuz", "qobuz"),
    ("beatport", "beatport"),
    ("7digital", "7digital"),
    ("hdtracks", "hdtracks"),
    ("juno download", "juno"),
    ("ototoy", "ototoy"),
    ("e-onkyo", "e-onkyo"),
    ("google play", "google"),
    ("recochoku", "recochoku"),
    ("prostudiomasters", "prostudiomasters"),
    ("boomkat", "boomkat"),
    ("emusic", "emusic"),
    ("traxsource", "traxsource"),
];
const LONGEST_NAME: usize = 60;
