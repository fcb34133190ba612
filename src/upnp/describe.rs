//! The descriptions of a root device and of its services (UPnP Device Architecture 1.0, 2; reference upnp 2.1). Pure. Every
//! URL is a path that begins with a slash, so that one text serves every network.

use std::fmt::Write;

use uuid::Uuid;

use crate::lan::announce::Advertised;
use crate::upnp::icons;
use crate::upnp::service::{Direction, Service, Variable};
use crate::wire::xml::escaped;

/// A root device.
#[derive(Debug)]
pub struct Device {
    /// Its part of the paths: `server`, `renderer`.
    pub role: &'static str,
    /// Its type: `urn:schemas-upnp-org:device:MediaServer:1`.
    pub kind: &'static str,
    /// Its DLNA classes, newest last.
    pub classes: &'static [&'static str],
    /// What it is, for people.
    pub words: &'static str,
    /// Its unique name.
    pub udn: Uuid,
    /// What people call it; shown up to 63 characters.
    pub name: String,
    /// Maker and model, up to 31 characters (UPnP Device Architecture 1.0, 2.1).
    pub product: String,
    /// What it can do.
    pub services: Vec<&'static Service>,
}

impl Device {
    /// Returns its description.
    pub fn description(&self) -> String {
        self.with_config(&format!(" configId=\"{}\"", self.config_id()))
    }

    /// Returns the number of its description and those of its services: another one when they change (reference upnp 1.2,
    /// CONFIGID).
    pub fn config_id(&self) -> u32 {
        let mut hash = blake3::Hasher::new();
        hash.update(self.with_config("").as_bytes());
        self.services.iter().for_each(|service| {
            hash.update(scpd(service).as_bytes());
        });
        let bytes = hash.finalize();
        let [a, b, c, ..] = bytes.as_bytes();
        u32::from_be_bytes([0, *a, *b, *c])
    }

    /// Returns what is announced of it.
    pub fn advertised(&self) -> Advertised {
        let services = self.services.iter().map(|service| service.kind);
        Advertised {
            udn: self.udn.to_string(),
            path: format!("/upnp/{}/description.xml", self.role),
            kinds: std::iter::once(self.kind).chain(services).map(str::to_owned).collect(),
            config_id: self.config_id(),
        }
    }

    fn with_config(&self, config: &str) -> String {
        let name: String = self.name.chars().take(LONGEST_NAME).collect();
        let product: String = self.product.chars().take(LONGEST_PRODUCT).collect();
        let (name, product) = (escaped(&name), escaped(&product));
        let (udn, version) = (self.udn, env!("CARGO_PKG_VERSION"));
        let (kind, words) = (self.kind, self.words);
        let classes: String = self
            .classes
            .iter()
            .map(|class| {
                format!("<dlna:X_DLNADOC xmlns:dlna=\"urn:schemas-dlna-org:device-1-0\">{class}</dlna:X_DLNADOC>\n")
            })
            .collect();
        let services: String = self.services.iter().map(|service| self.service(service)).collect();
        format!(
            "{DECLARATION}<root xmlns=\"urn:schemas-upnp-org:device-1-0\"{config}>\n\
             <specVersion><major>1</major><minor>0</minor></specVersion>\n<device>\n\
             <deviceType>{kind}</deviceType>\n<friendlyName>{name}</friendlyName>\n\
             <manufacturer>{product}</manufacturer>\n<modelDescription>{words}</modelDescription>\n\
             <modelName>{product}</modelName>\n<modelNumber>{version}</modelNumber>\n\
             <serialNumber>{udn}</serialNumber>\n<UDN>uuid:{udn}</UDN>\n{classes}\
             <iconList>\n{}</iconList>\n<serviceList>\n{services}</serviceList>\n\
             <presentationURL>/</presentationURL>\n</device>\n</root>\n",
            icon_list()
        )
    }

    fn service(&self, service: &Service) -> String {
        let (base, kind, id) = (format!("/upnp/{}/{}", self.role, service.path), service.kind, service.id);
        format!(
            "<service><serviceType>{kind}</serviceType><serviceId>{id}</serviceId>\
             <SCPDURL>{base}/scpd.xml</SCPDURL><controlURL>{base}/control</controlURL>\
             <eventSubURL>{base}/event</eventSubURL></service>\n"
        )
    }
}

fn icon_list() -> String {
    icons::LIST
        .iter()
        .map(|icon| {
            let (edge, name) = (icon.edge, icon.name);
            format!(
                "<icon><mimetype>{}</mimetype><width>{edge}</width><height>{edge}</height><depth>24</depth>\
                 <url>/upnp/icons/{name}</url></icon>\n",
                icon.mime
            )
        })
        .collect()
}

/// Returns the description of a service.
pub fn scpd(service: &Service) -> String {
    let mut text = format!(
        "{DECLARATION}<scpd xmlns=\"urn:schemas-upnp-org:service-1-0\">\n\
         <specVersion><major>1</major><minor>0</minor></specVersion>\n<actionList>\n"
    );
    for action in service.actions {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "<action><name>{}</name>", action.name);
        if !action.arguments.is_empty() {
            text.push_str("<argumentList>\n");
        }
        for argument in action.arguments {
            let direction = if argument.direction == Direction::In { "in" } else { "out" };
            let (name, variable) = (argument.name, argument.variable);
            let _infallible = writeln!(
                text,
                "<argument><name>{name}</name><direction>{direction}</direction>\
                 <relatedStateVariable>{variable}</relatedStateVariable></argument>"
            );
        }
        if !action.arguments.is_empty() {
            text.push_str("</argumentList>");
        }
        text.push_str("</action>\n");
    }
    text.push_str("</actionList>\n<serviceStateTable>\n");
    service.variables.iter().for_each(|variable| text.push_str(&state_variable(variable)));
    text + "</serviceStateTable>\n</scpd>\n"
}

fn state_variable(variable: &Variable) -> String {
    let evented = if variable.evented { "yes" } else { "no" };
    let allowed: String = variable
        .allowed
        .iter()
        .map(|value| format!("<allowedValue>{}</allowedValue>", escaped(value)))
        .collect();
    let allowed = match variable.allowed {
        [] => String::new(),
        _ => format!("<allowedValueList>{allowed}</allowedValueList>"),
    };
    let range = variable.range.map_or(String::new(), |(least, most, step)| {
        format!(
            "<allowedValueRange><minimum>{least}</minimum><maximum>{most}</maximum><step>{step}</step>\
             </allowedValueRange>"
        )
    });
    let (name, kind) = (variable.name, variable.kind.name());
    format!(
        "<stateVariable sendEvents=\"{evented}\"><name>{name}</name><dataType>{kind}</dataType>{allowed}{range}\
         </stateVariable>\n"
    )
}

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";
/// A friendly name has fewer than 64 characters.
const LONGEST_NAME: usize = 63;
const LONGEST_PRODUCT: usize = 31;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upnp::av::{connection, registrar};
    use crate::wire::description;

    fn device(name: &str) -> Device {
        Device {
            role: "server",
            kind: "urn:schemas-upnp-org:device:MediaServer:1",
            classes: &["DMS-1.50", "M-DMS-1.50"],
            words: "Music",
            udn: Uuid::from_u128(7),
            name: name.into(),
            product: "Model <1>".into(),
            services: vec![&connection::SERVICE, &registrar::SERVICE],
        }
    }

    /// Reference upnp 2.1, row by row.
    #[test]
    fn a_description_has_what_control_points_ask_for() {
        let text = device("R&B <Room>").description();
        assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<root xmlns="), "{text}");
        assert!(!text.contains("DOCTYPE") && !text.contains("URLBase") && !text.contains("sec:"), "{text}");
        for part in [
            "<major>1</major><minor>0</minor>",
            "<friendlyName>R&amp;B &lt;Room&gt;</friendlyName>",
            "<modelName>Model &lt;1&gt;</modelName>",
            "<UDN>uuid:00000000-0000-0000-0000-000000000007</UDN>",
            ">DMS-1.50</dlna:X_DLNADOC>",
            ">M-DMS-1.50</dlna:X_DLNADOC>",
            "<presentationURL>/</presentationURL>",
            "<url>/upnp/icons/48.png</url>",
            "<SCPDURL>/upnp/server/connection-manager/scpd.xml</SCPDURL>",
            "<controlURL>/upnp/server/connection-manager/control</controlURL>",
            "<eventSubURL>/upnp/server/connection-manager/event</eventSubURL>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let read = description::parse(text.as_bytes()).expect("a description");
        assert_eq!((read.devices.len(), read.devices[0].services.len()), (1, 2));
        assert_eq!((read.devices[0].name.as_str(), read.base), ("R&B <Room>", None));
    }

    #[test]
    fn a_long_name_is_cut_and_the_number_follows_the_text() {
        let text = device(&"あ".repeat(80)).description();
        assert!(text.contains(&format!("<friendlyName>{}</friendlyName>", "あ".repeat(63))), "{text}");
        let (one, same, other) = (device("a"), device("a"), device("b"));
        assert_eq!(one.config_id(), same.config_id());
        assert_ne!(one.config_id(), other.config_id());
        assert!(one.config_id() < 1 << 24);
        assert!(one.description().contains(&format!(" configId=\"{}\"", one.config_id())));
        assert_eq!(one.advertised().config_id, one.config_id());
        assert_eq!(one.advertised().kinds.len(), 3);
    }

    #[test]
    fn a_service_is_described_whole() {
        let text = scpd(&connection::SERVICE);
        for part in [
            "<scpd xmlns=\"urn:schemas-upnp-org:service-1-0\">",
            "<action><name>GetProtocolInfo</name><argumentList>\n<argument><name>Source</name><direction>out</direction>",
            "<stateVariable sendEvents=\"yes\"><name>SourceProtocolInfo</name><dataType>string</dataType>",
            "<allowedValueList><allowedValue>Input</allowedValue><allowedValue>Output</allowedValue></allowedValueList>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
