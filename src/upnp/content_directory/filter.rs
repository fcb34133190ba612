//! The argument Filter (UPnP ContentDirectory:1, 2.5.6; reference upnp 5.4): which properties an answer carries. Pure.
//!
//! What apps need to show and play a thing is always there, whatever they forget to name: more breaks nobody.

/// Which properties were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `*`.
    all: bool,
    names: Vec<String>,
}

/// Names beyond these are not looked at: HEOS names 40.
const MOST: usize = 200;

impl Wanted {
    /// Reads the argument. Unknown names are kept and never asked for.
    pub fn parse(text: &str) -> Wanted {
        let names = text.split(',').map(|name| name.trim().trim_matches('"'));
        let names: Vec<String> =
            names.filter(|name| !name.is_empty()).take(MOST).map(str::to_owned).collect();
        Wanted { all: names.iter().any(|name| name == "*"), names }
    }

    /// Returns whether an element such as `upnp:genre` goes into the answer.
    pub fn wants(&self, name: &str) -> bool {
        let is = |wanted: &String| wanted == name || wanted.split_once('@').is_some_and(|(of, _)| of == name);
        self.all || self.names.iter().any(is)
    }

    /// Returns whether an attribute of `res` goes into the answer, named with the element or, as minidlna allows, alone.
    pub fn wants_of_resource(&self, name: &str) -> bool {
        let is = |wanted: &String| wanted == name || wanted.strip_prefix("res@") == Some(name);
        self.all || self.names.iter().any(is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_with_spaces_and_attributes() {
        let wanted = Wanted::parse("dc:creator, upnp:artist@role ,res@size,duration,avega_media_server:x,");
        for name in ["dc:creator", "upnp:artist", "res"] {
            assert!(wanted.wants(name), "{name}");
        }
        assert!(wanted.wants_of_resource("size") && wanted.wants_of_resource("duration"));
        assert!(!wanted.wants("upnp:genre") && !wanted.wants_of_resource("bitrate"));
        assert!(
            Wanted::parse("*").wants("upnp:genre")
                && Wanted::parse("dc:title,*").wants_of_resource("bitrate")
        );
        assert!(!Wanted::parse("").wants("upnp:genre"));
    }
}
