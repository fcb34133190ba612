//! What single control points and renderers need: one table of data, each row naming the device it serves (reference upnp
//! 2.3). A device is known by the headers of its requests; those that fetch files under another name are known again by their
//! address for an hour.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;

use crate::wire::didl_writer::Letters;

/// A kind of device and what it needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Device {
    /// What it is, for logs.
    pub name: &'static str,
    /// Any of these names it.
    marks: &'static [Mark],
    /// Any of these says that it is another one after all.
    unless: &'static [Mark],
    /// Media types that it knows by another name: ours, its.
    pub mimes: &'static [(&'static str, &'static str)],
    /// The letters that it reads.
    pub letters: Letters,
    /// Containers that it asks for by numbers of its maker: its id, ours; an empty one is an empty container.
    pub aliases: &'static [(&'static str, &'static str)],
    /// The order that it gets, whatever it asks for.
    pub sort: Option<&'static str>,
    /// The longest edge of its covers, in pixels.
    pub cover: u32,
    /// The class of plain containers.
    pub container: &'static str,
    /// Whether answers to its calls begin with an XML declaration.
    pub declares: bool,
}

/// What names a device.
#[derive(Debug, PartialEq, Eq)]
enum Mark {
    /// A part of `User-Agent`.
    Agent(&'static str),
    /// A part of `X-AV-Client-Info`.
    Info(&'static str),
}

/// A device of which nothing special is known.
pub const PLAIN: Device = Device {
    name: "any",
    marks: &[],
    unless: &[],
    mimes: &[],
    letters: Letters::Unicode,
    aliases: SAMSUNG,
    sort: None,
    cover: 600,
    container: "object.container",
    declares: true,
};

/// The kinds of containers a Samsung TV begins at; no id of ours looks so, and some of its requests name nobody.
const SAMSUNG: &[(&str, &str)] = &[("A", "0"), ("V", ""), ("I", "")];

/// Windows Media Connect's numbers: music, its tracks, genres, artists, albums, playlists and folders; video and pictures.
const XBOX: &[(&str, &str)] = &[
    ("1", "0"),
    ("4", "tracks"),
    ("5", "genres"),
    ("6", "artists"),
    ("7", "albums"),
    ("F", "playlists"),
    ("14", "folders"),
    ("2", ""),
    ("3", ""),
    ("15", ""),
    ("16", ""),
    // An address may be another device's later.
    ("A", "0"),
    ("V", ""),
    ("I", ""),
];

/// DLNA's own name of AAC in ADTS frames, which its profiles are bound to.
const ADTS: (&str, &str) = ("audio/aac", "audio/vnd.dlna.adts");

/// Every device that needs something. The first row that fits counts.
pub static DEVICES: [Device; 13] = [
    // Browses from `A`; DLNA thumbnails.
    Device {
        name: "Samsung TV",
        marks: &[Mark::Agent("SEC_HHP_"), Mark::Agent("SamsungWiselinkPro")],
        unless: &[Mark::Agent("SEC_HHP_[PC]")],
        mimes: &[ADTS],
        cover: 160,
        container: "object.container.storageFolder",
        ..PLAIN
    },
    // Plays FLAC as audio/flac only, which is what everybody gets; named so that nobody changes that for it.
    Device {
        name: "LG",
        marks: &[Mark::Agent("LGE_DLNA_SDK")],
        mimes: &[("audio/x-flac", "audio/flac")],
        ..PLAIN
    },
    Device {
        name: "Popcorn Hour",
        marks: &[Mark::Agent("SMP8634")],
        mimes: &[("audio/x-wav", "audio/wav"), ("audio/x-flac", "audio/flac")],
        ..PLAIN
    },
    // AAC only by the name that its profile is bound to.
    Device {
        name: "Sony BRAVIA, Blu-ray, PS3",
        marks: &[Mark::Info("Sony Corporation"), Mark::Agent("PLAYSTATION 3")],
        mimes: &[ADTS],
        cover: 160,
        ..PLAIN
    },
    // Asks for Windows Media Connect's numbers; plain containers are folders to it.
    Device {
        name: "Xbox 360",
        marks: &[Mark::Agent("Xbox/")],
        aliases: XBOX,
        container: "object.container.storageFolder",
        ..PLAIN
    },
    // A fixed SortCriteria that orders tracks by what they have not; TN covers.
    Device {
        name: "Panasonic",
        marks: &[Mark::Agent("Panasonic MIL DLNA CP")],
        mimes: &[ADTS],
        sort: Some("+dc:title"),
        cover: 160,
        ..PLAIN
    },
    Device { name: "Windows", marks: &[Mark::Agent("FDSSDP"), Mark::Agent("Microsoft-Windows/")], ..PLAIN },
    // It shows only ASCII.
    Device { name: "Yamaha RX", marks: &[Mark::Agent("KnOS/3.2")], letters: Letters::Ascii, ..PLAIN },
    // A small screen.
    Device { name: "Frontier Silicon radio", marks: &[Mark::Agent("FSL DLNADOC/1.50")], cover: 300, ..PLAIN },
    Device { name: "Dual radio", marks: &[Mark::Agent("EC-IRADIO/1.0")], declares: false, ..PLAIN },
    Device { name: "Bose SoundTouch", marks: &[Mark::Agent("Allegro-Software-WebClient")], ..PLAIN },
    Device { name: "Universum radio", marks: &[Mark::Agent("IR 500/1.0")], cover: 300, ..PLAIN },
    Device { name: "Freebox", marks: &[Mark::Agent("fbxupnpav/")], ..PLAIN },
];

impl Device {
    /// Returns what the device calls a media type.
    pub fn mime(&self, ours: &'static str) -> &'static str {
        self.mimes.iter().find(|(known, _)| *known == ours).map_or(ours, |(_, its)| its)
    }

    /// Returns the container that an id of the device's maker stands for; `Some("")`: one that is always empty.
    pub fn alias(&self, id: &str) -> Option<&'static str> {
        self.aliases.iter().find(|(known, _)| *known == id).map(|(_, ours)| *ours)
    }

    fn is_named(&self, headers: &HeaderMap) -> bool {
        let says = |mark: &Mark| {
            let (name, part) = match mark {
                Mark::Agent(part) => ("user-agent", part),
                Mark::Info(part) => ("x-av-client-info", part),
            };
            let values = headers.get_all(name).iter();
            values.filter_map(|value| value.to_str().ok()).any(|value| value.contains(part))
        };
        self.marks.iter().any(says) && !self.unless.iter().any(says)
    }
}

/// Returns what the headers of a request name, else a plain device.
pub fn named(headers: &HeaderMap) -> &'static Device {
    DEVICES.iter().find(|device| device.is_named(headers)).unwrap_or(&PLAIN)
}

/// The devices that asked lately, by address.
#[derive(Debug, Default)]
pub struct Clients {
    seen: Mutex<HashMap<IpAddr, (Instant, &'static Device)>>,
}

impl Clients {
    /// Returns what asks: by its headers, else what asked from its address within the last hour, else a plain one.
    pub fn of(&self, headers: &HeaderMap, peer: IpAddr, now: Instant) -> &'static Device {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = DEVICES.iter().find(|device| device.is_named(headers)) {
            if seen.len() >= MOST_CLIENTS && !seen.contains_key(&peer) {
                let oldest = seen.iter().min_by_key(|(_, (at, _))| *at).map(|(peer, _)| *peer);
                oldest.map(|oldest| seen.remove(&oldest));
            }
            seen.insert(peer, (now, device));
            return device;
        }
        match seen.get(&peer) {
            Some((at, device)) if now.saturating_duration_since(*at) < KNOWN_FOR => device,
            _ => &PLAIN,
        }
    }
}

/// Under this many addresses devices are known again; the one that asked longest ago is forgotten first.
const MOST_CLIENTS: usize = 256;
/// How long an address stands for the device that asked from it.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use std::net::Ipv4Addr;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            HeaderValue::from_str(value).expect("a value"),
        )])
    }

    #[test]
    fn a_device_is_known_by_what_it_says() {
        let (clients, now) = (Clients::default(), Instant::now());
        for (last, (name, value, want)) in [
            ("user-agent", "SEC_HHP_[TV] UE40D7000/1.0", "Samsung TV"),
            ("user-agent", "SEC_HHP_[PC]LPC001/1.0", "any"),
            ("user-agent", "Linux/2.6 UPnP/1.0 LGE_DLNA_SDK/1.5.0", "LG"),
            (
                "x-av-client-info",
                "av=5.0; cn=\"Sony Corporation\"; mn=\"BRAVIA\"",
                "Sony BRAVIA, Blu-ray, PS3",
            ),
            ("user-agent", "Xbox/2.0.17559.0 UPnP/1.0 Xbox/2.0.17559.0", "Xbox 360"),
            ("user-agent", "Panasonic MIL DLNA CP UPnP/1.0", "Panasonic"),
            ("user-agent", "KnOS/3.2 UPnP/1.0 DMP/3.5", "Yamaha RX"),
            ("user-agent", "Allegro-Software-WebClient/5.40b1 DLNADOC/1.00", "Bose SoundTouch"),
            ("user-agent", "BubbleUPnP/3.4", "any"),
        ]
        .into_iter()
        .enumerate()
        {
            let peer = IpAddr::V4(Ipv4Addr::new(10, 0, 0, last as u8));
            assert_eq!(clients.of(&headers(name, value), peer, now).name, want, "{value}");
        }
    }

    #[test]
    fn a_device_that_fetches_under_another_name_is_known_for_an_hour() {
        let (clients, now) = (Clients::default(), Instant::now());
        let (tv, other) = (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3)));
        clients.of(&headers("user-agent", "SEC_HHP_[TV]"), tv, now);
        let plain = headers("user-agent", "gstreamer souphttpsrc");
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(clients.of(&plain, tv, after(3599)).name, "Samsung TV");
        assert_eq!(clients.of(&plain, other, after(1)).name, "any");
        assert_eq!(clients.of(&plain, tv, after(3600)).name, "any");
        for last in 0..1000u32 {
            clients.of(&headers("user-agent", "Xbox/"), IpAddr::V4(Ipv4Addr::from(last)), after(4000));
        }
        assert!(clients.seen.lock().expect("unharmed").len() <= MOST_CLIENTS);
    }

    #[test]
    fn an_alias_is_no_id_of_ours_and_leads_to_one() {
        for device in &DEVICES {
            for (its, ours) in device.aliases {
                let read = |id: &str| id.parse::<crate::upnp::content_directory::tree::ObjectId>();
                assert!(read(its).is_err(), "{} {its}", device.name);
                assert!(ours.is_empty() || read(ours).is_ok(), "{} {ours}", device.name);
            }
        }
    }
}
