//! A device description (UPnP Device Architecture 1.0, 2.1) as servers of phones write it: relative, absolute and empty
//! URLs, a `URLBase`, services without event URLs or with odd types, a DTD that nobody follows. Pure and bounded.

use quick_xml::events::Event;

use crate::error::{Error, Kind, Result};
use crate::wire::xml::{decode, entity, local, reader};

/// What a description says, as far as a control point of media servers needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// What relative URLs refer to, where it says so; else the address of the description itself.
    pub base: Option<String>,
    /// The root device, then those inside it.
    pub devices: Vec<Device>,
}

/// One device. Absent texts are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// `urn:schemas-upnp-org:device:MediaServer:1`.
    pub kind: String,
    /// What it calls itself.
    pub name: String,
    /// Its maker.
    pub maker: String,
    /// Its model.
    pub model: String,
    /// Its unique name, as written.
    pub udn: String,
    /// What it can do.
    pub services: Vec<Service>,
}

/// One service. URLs are as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// `urn:schemas-upnp-org:service:ContentDirectory:1`.
    pub kind: String,
    /// Where it is asked.
    pub control: String,
}

impl Description {
    /// Returns the device that lists its music, and that service; of any version.
    pub fn content_directory(&self) -> Option<(&Device, &Service)> {
        self.devices.iter().find_map(|device| {
            let service = device.services.iter().find(|s| s.kind.contains(":ContentDirectory:"))?;
            Some((device, service))
        })
    }
}

/// Reads a description.
///
/// # Errors
/// `Damaged`, in words for a person, for bytes that are no description or beyond the limits.
pub fn parse(bytes: &[u8]) -> Result<Description> {
    let damaged = |what: &str| Error::new(Kind::Damaged, format!("its description {what}"));
    if bytes.len() > LARGEST {
        return Err(damaged("is larger than any description"));
    }
    let text = decode(bytes);
    let mut reader = reader(&text);
    let mut parser = Parser::default();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => parser.open(local(tag.name().as_ref())),
            Ok(Event::Empty(tag)) => {
                parser.open(local(tag.name().as_ref()));
                parser.close(local(tag.name().as_ref()));
            }
            Ok(Event::End(tag)) => parser.close(local(tag.name().as_ref())),
            Ok(Event::Text(piece)) => parser.text.push_str(&piece),
            Ok(Event::CData(piece)) => parser.text.push_str(&piece),
            Ok(Event::GeneralRef(name)) => parser.text.push_str(&entity(&name)),
            Ok(Event::Eof) => break,
            Ok(_) => {}
            // What was read until here may be enough.
            Err(_) if parser.done.content_directory().is_some() => break,
            Err(error) => return Err(Error::with(Kind::Damaged, "its description cannot be read", error)),
        }
        if parser.opened > MOST_TAGS {
            return Err(damaged("is larger than any description"));
        }
    }
    // One that was cut off names what it named.
    parser.close("service");
    while !parser.open_devices.is_empty() {
        parser.close("device");
    }
    if parser.done.devices.is_empty() {
        return Err(damaged("names no device"));
    }
    // A device inside another one was closed before it.
    parser.done.devices.reverse();
    Ok(parser.done)
}

#[derive(Default)]
struct Parser {
    done: Description,
    /// The devices around this place.
    open_devices: Vec<Device>,
    service: Option<Service>,
    text: String,
    opened: usize,
}

impl Parser {
    fn open(&mut self, name: &str) {
        self.text.clear();
        self.opened += 1;
        match name {
            "device" if self.open_devices.len() < DEEPEST => self.open_devices.push(Device::default()),
            "service" => self.service = Some(Service::default()),
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        let text = std::mem::take(&mut self.text).trim().to_owned();
        match (name, &mut self.service, self.open_devices.last_mut()) {
            ("URLBase", ..) if !text.is_empty() => self.done.base = Some(text),
            ("serviceType", Some(service), _) => service.kind = text,
            ("controlURL", Some(service), _) => service.control = text,
            ("service", service, Some(device)) => device.services.extend(service.take()),
            ("service", ..) => {}
            ("device", ..) => self.done.devices.extend(self.open_devices.pop()),
            (_, None, Some(device)) => {
                let field = match name {
                    "deviceType" => &mut device.kind,
                    "friendlyName" => &mut device.name,
                    "manufacturer" => &mut device.maker,
                    "modelName" => &mut device.model,
                    "UDN" => &mut device.udn,
                    _ => return,
                };
                *field = text;
            }
            _ => {}
        }
    }
}

/// Reference upnp 8.1: 256 KiB.
pub const LARGEST: usize = 256 << 10;
const MOST_TAGS: usize = 20_000;
const DEEPEST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As Debian's gerbera 1.1.0 writes it, which rupnp 3.0.0 cannot load: URLs without a leading slash.
    const RELATIVE: &str = r#"<?xml version="1.0" encoding="UTF-8"?><root xmlns="urn:schemas-upnp-org:device-1-0">
      <specVersion><major>1</major><minor>0</minor></specVersion><URLBase>http://10.77.0.3:49300/</URLBase>
      <device><deviceType>urn:schemas-upnp-org:device:MediaServer:1</deviceType><friendlyName>R&amp;B &quot;Box&quot;</friendlyName>
      <manufacturer>M</manufacturer><modelName>N</modelName><UDN>uuid:ABC</UDN>
      <iconList><icon><mimetype>image/png</mimetype><url>/icons/a.png</url></icon></iconList>
      <serviceList><service><serviceType>urn:schemas-upnp-org:service:ConnectionManager:1</serviceType>
      <SCPDURL>cm.xml</SCPDURL><controlURL>/upnp/control/cm</controlURL></service>
      <service><serviceType>urn:schemas-upnp-org:service:ContentDirectory:1</serviceType><SCPDURL>cds.xml</SCPDURL>
      <controlURL>/upnp/control/cds</controlURL><eventSubURL>/upnp/event/cds</eventSubURL></service></serviceList></device></root>"#;

    #[test]
    fn a_description_with_relative_urls_is_read() {
        let description = parse(RELATIVE.as_bytes()).expect("a description");
        assert_eq!(description.base.as_deref(), Some("http://10.77.0.3:49300/"));
        let (device, service) = description.content_directory().expect("it lists music");
        assert_eq!((device.name.as_str(), device.udn.as_str()), ("R&B \"Box\"", "uuid:ABC"));
        assert_eq!(service.control, "/upnp/control/cds");
    }

    #[test]
    fn the_root_comes_first_and_devices_inside_it_are_found() {
        let inside = "<root><device><friendlyName>Root</friendlyName><UDN>uuid:1</UDN><deviceList><device>\
            <friendlyName>Media</friendlyName><UDN>uuid:2</UDN><serviceList><service>\
            <serviceType>urn:av-openhome-org:service:ContentDirectory:9</serviceType><controlURL></controlURL>\
            </service></serviceList></device></deviceList><modelName>Late</modelName></device></root>";
        let description = parse(inside.as_bytes()).expect("a description");
        assert_eq!(description.devices[0].name, "Root");
        assert_eq!(description.devices[0].model, "Late");
        let (device, service) = description.content_directory().expect("inside");
        assert_eq!((device.name.as_str(), service.control.as_str()), ("Media", ""));
    }

    #[test]
    fn what_servers_get_wrong_is_read_all_the_same() {
        for (from, to, name) in [
            ("R&amp;B &quot;Box&quot;", "R&B Box", "R&B Box"),
            ("<root ", "<!DOCTYPE root [<!ENTITY x \"boom\">]><root ", "R&B \"Box\""),
            ("R&amp;B", "&x;", "&x; \"Box\""),
            ("<friendlyName>R", "<dlna:X_DLNADOC>DMS-1.50</dlna:X_DLNADOC><friendlyName>R", "R&B \"Box\""),
        ] {
            let text = RELATIVE.replace(from, to);
            let description = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{to}: {error}"));
            assert_eq!(description.content_directory().expect("it lists music").0.name, name);
        }
        let latin = RELATIVE.replace("R&amp;B", "Bj@rk");
        let bytes: Vec<u8> = latin.bytes().map(|b| if b == b'@' { 0xF6 } else { b }).collect();
        assert!(parse(&bytes).expect("Latin-1").devices[0].name.starts_with("Björk"));
        let cut = &RELATIVE[..RELATIVE.len() - 40];
        assert!(parse(cut.as_bytes()).expect("cut off").content_directory().is_some());
    }

    #[test]
    fn what_is_none_says_so() {
        for (text, want) in [
            ("<html><body>404</body></html>", "names no device"),
            ("", "names no device"),
            (&"x".repeat(LARGEST + 1), "is larger than any description"),
            (&format!("<root>{}", "<a>".repeat(MOST_TAGS + 1)), "is larger than any description"),
        ] {
            let error = parse(text.as_bytes()).expect_err("none");
            assert_eq!(error.kind(), Kind::Damaged);
            assert!(error.to_string().contains(want), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_description_breaks_the_reader(at in 0usize..1500, with in "[<>&/\"=a-z0-9 ]{0,30}") {
            let at = (0..=at.min(RELATIVE.len())).rev().find(|&i| RELATIVE.is_char_boundary(i)).unwrap_or(0);
            let _either_way = parse(format!("{}{with}{}", &RELATIVE[..at], &RELATIVE[at..]).as_bytes());
        }
    }
}
