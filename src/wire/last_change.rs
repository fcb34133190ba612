//! LastChange, the one evented variable of AVTransport and RenderingControl (AVTransport:1, 2.2.27; RenderingControl:1, 2.2.1;
//! reference upnp 3.5): a document of the variables that changed. Pure.

use std::fmt::Write;

use crate::wire::xml::is_allowed;

/// One variable in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<'a> {
    /// Its name.
    pub name: &'a str,
    /// The channel that it is of, where its service has channels.
    pub channel: Option<&'a str>,
    /// Its value.
    pub value: &'a str,
}

/// Returns the document for instance 0. `space` is the service's namespace: `urn:schemas-upnp-org:metadata-1-0/AVT/` or
/// `…/RCS/`; strict readers drop an event with another one.
pub fn document<'a>(space: &str, changed: impl IntoIterator<Item = Changed<'a>>) -> String {
    let mut text = format!("<Event xmlns=\"{space}\"><InstanceID val=\"0\">");
    for Changed { name, channel, value } in changed {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "<{name}");
        if let Some(channel) = channel {
            let _infallible = write!(text, " channel=\"{channel}\"");
        }
        text.push_str(" val=\"");
        attribute(&mut text, value);
        text.push_str("\"/>");
    }
    text + "</InstanceID></Event>"
}

/// Adds text as it may stand in an attribute and is read again as it was: line ends and tabs as numbers, for a reader makes
/// blanks of them (XML 1.0, 3.3.3); what XML forbids left out.
fn attribute(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            c if is_allowed(c) => out.push(c),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::strict::is_whole;
    use crate::wire::xml::unescape;
    use proptest::prelude::*;

    const SPACE: &str = "urn:schemas-upnp-org:metadata-1-0/RCS/";

    fn one(value: &str) -> String {
        document(SPACE, [Changed { name: "Volume", channel: Some("Master"), value }])
    }

    #[test]
    fn it_names_namespace_instance_and_channel() {
        let text = document(
            SPACE,
            [
                Changed { name: "PresetNameList", channel: None, value: "FactoryDefaults" },
                Changed { name: "Volume", channel: Some("Master"), value: "30" },
            ],
        );
        assert_eq!(
            text,
            "<Event xmlns=\"urn:schemas-upnp-org:metadata-1-0/RCS/\"><InstanceID val=\"0\">\
             <PresetNameList val=\"FactoryDefaults\"/><Volume channel=\"Master\" val=\"30\"/></InstanceID></Event>"
        );
        assert!(is_whole(&document(SPACE, []), "Event"));
    }

    proptest! {
        #[test]
        fn whatever_the_value_it_is_read_again(value in "([ -~]|[\u{0}-\u{1f}]|é|&amp;|<a/>){0,60}") {
            let text = one(&value);
            prop_assert!(is_whole(&text, "Event"), "{}", text);
            let inside = text.split(" val=\"").nth(2).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            let kept: String = value.chars().filter(|c| is_allowed(*c)).collect();
            prop_assert!(!inside.contains(['\n', '\t', '\r']));
            prop_assert_eq!(unescape(inside), kept);
        }
    }
}
