//! DIDL-Lite (UPnP ContentDirectory:1, 2.8): what a media server lists. Streaming, bounded, prefix-blind, and tolerant of
//! what servers write (reference upnp 8.1, the ten repairs).

use quick_xml::events::{BytesStart, Event};

use crate::error::{Error, Kind, Result};
use crate::units::{ByteCount, Millis};
use crate::wire::xml::{entity, local, reader, unescape, unescape_twice_escaped};

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Didl {
    /// Containers, in order.
    pub containers: Vec<Container>,
    /// Items, in order.
    pub items: Vec<Item>,
    /// It ends before its end: there was more.
    pub cut: bool,
}

/// A folder of a media server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Container {
    /// The server's number of it.
    pub id: String,
    /// Its name.
    pub title: String,
    /// `object.container…`.
    pub class: String,
}

/// A thing of a media server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Item {
    /// The server's number of it.
    pub id: String,
    /// The number of the thing that this only refers to.
    pub ref_id: Option<String>,
    /// The number of the container it lies in; empty when it does not say.
    pub parent: String,
    /// Its title.
    pub title: String,
    /// Artist, else creator.
    pub artist: Option<String>,
    /// Album.
    pub album: Option<String>,
    /// Genre.
    pub genre: Option<String>,
    /// Track number.
    pub track: Option<u32>,
    /// Where its cover lies.
    pub cover: Option<String>,
    /// `object.item…`.
    pub class: String,
    /// Ways to get it.
    pub resources: Vec<Resource>,
}

/// A way to get a thing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource {
    /// Where it lies.
    pub url: String,
    /// `protocol:network:MIME:additional`.
    pub protocol: String,
    /// Bytes.
    pub size: Option<ByteCount>,
    /// Length.
    pub duration: Option<Millis>,
    /// Bytes per second, or bits in servers that err.
    pub bitrate: Option<u64>,
}

impl Resource {
    /// Returns the MIME type, lower case, without parameters.
    pub fn mime(&self) -> String {
        let mime = self.protocol.split(':').nth(2).unwrap_or("");
        mime.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
    }

    /// Returns whether it is fetched by HTTP GET.
    pub fn is_http(&self) -> bool {
        self.protocol.split(':').next().is_some_and(|p| p.eq_ignore_ascii_case("http-get"))
            && self.url.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("http://"))
    }

    /// Returns whether the server would convert it (DLNA.ORG_CI=1): not the file that was bought.
    pub fn is_converted(&self) -> bool {
        self.protocol.contains("DLNA.ORG_CI=1")
    }
}

/// Reads a listing. One cut off in its middle gives the complete things before the cut (repair 8).
///
/// # Errors
/// `Damaged` for text in which nothing can be read, or beyond the limits.
pub fn parse(text: &str) -> Result<Didl> {
    if text.len() > LARGEST {
        return Err(Error::new(Kind::Damaged, format!("read a listing: more than {LARGEST} bytes")));
    }
    let mut reader = reader(text);
    let mut parser = Parser::default();
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => parser.open(&tag)?,
            Ok(Event::Empty(tag)) => {
                parser.open(&tag)?;
                parser.close(local(tag.name().as_ref()));
            }
            Ok(Event::End(tag)) => parser.close(local(tag.name().as_ref())),
            Ok(Event::Text(piece)) => parser.text.push_str(&piece),
            Ok(Event::CData(piece)) => parser.text.push_str(&piece),
            Ok(Event::GeneralRef(name)) => parser.text.push_str(&entity(&name)),
            Ok(Event::Eof) => break,
            // A DTD among them: it is never followed.
            Ok(_) => {}
            Err(error) if parser.is_empty() => {
                return Err(Error::with(Kind::Damaged, "read a listing", error));
            }
            Err(_) => break,
        }
    }
    // Some servers answer an empty folder with nothing at all (repair 9).
    let cut = !parser.ended && !text.trim().is_empty();
    if cut && parser.is_empty() {
        return Err(Error::new(Kind::Damaged, "read a listing: it is none, or cut off"));
    }
    Ok(Didl { cut, ..parser.didl })
}

#[derive(Default)]
struct Parser {
    didl: Didl,
    item: Option<Item>,
    container: Option<Container>,
    resource: Option<Resource>,
    text: String,
    depth: usize,
    /// The artist that is open has a role other than Performer.
    role: bool,
    /// The end of the whole was seen.
    ended: bool,
}

impl Parser {
    fn is_empty(&self) -> bool {
        self.didl.items.is_empty() && self.didl.containers.is_empty()
    }

    fn open(&mut self, tag: &BytesStart<'_>) -> Result<()> {
        self.text.clear();
        self.depth += 1;
        if self.depth > DEEPEST || self.didl.items.len() + self.didl.containers.len() > MOST_THINGS {
            return Err(Error::new(Kind::Damaged, "read a listing: it is larger than a listing can be"));
        }
        match local(tag.name().as_ref()) {
            "item" => {
                self.item = Some(Item {
                    id: attribute(tag, "id").unwrap_or_default(),
                    parent: attribute(tag, "parentID").unwrap_or_default(),
                    ref_id: attribute(tag, "refID").filter(|id| !id.is_empty()),
                    ..Item::default()
                });
            }
            "container" => {
                self.container =
                    Some(Container { id: attribute(tag, "id").unwrap_or_default(), ..Container::default() });
            }
            "artist" => {
                self.role =
                    attribute(tag, "role").is_some_and(|role| !role.eq_ignore_ascii_case("Performer"));
            }
            "res" => {
                self.resource = Some(Resource {
                    url: String::new(),
                    protocol: attribute(tag, "protocolInfo").unwrap_or_default(),
                    size: attribute(tag, "size").and_then(|n| n.trim().parse().ok()).map(ByteCount),
                    duration: attribute(tag, "duration").as_deref().and_then(duration),
                    bitrate: attribute(tag, "bitrate").and_then(|n| n.trim().parse().ok()),
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, name: &str) {
        self.depth = self.depth.saturating_sub(1);
        self.ended |= name == "DIDL-Lite";
        let text = unescape_twice_escaped(std::mem::take(&mut self.text).trim().to_owned());
        let value = (!text.is_empty() && text.len() <= LONGEST_TEXT).then_some(text);
        match (name, &mut self.item, &mut self.container) {
            ("item", item, _) => {
                // A number that long cannot be kept, and cut it would be another one.
                self.didl.items.extend(item.take().filter(|item| item.id.len() <= LONGEST_TEXT));
            }
            ("container", _, container) => {
                self.didl.containers.extend(container.take().filter(|one| one.id.len() <= LONGEST_TEXT));
            }
            ("res", Some(item), _) => {
                if let Some(mut resource) = self.resource.take().filter(|_| item.resources.len() < MOST_WAYS)
                {
                    resource.url = value.unwrap_or_default();
                    item.resources.push(resource);
                }
            }
            ("title", Some(item), _) => item.title = value.unwrap_or_default(),
            ("title", None, Some(container)) => container.title = value.unwrap_or_default(),
            ("class", Some(item), _) => item.class = value.unwrap_or_default(),
            ("class", None, Some(container)) => container.class = value.unwrap_or_default(),
            // The artist outranks the creator, whichever comes first.
            // A name with a role (ContentDirectory:2, appendix B.3.1) may be the composer's; it yields to one without.
            ("artist", Some(item), _) if self.role => item.artist = item.artist.take().or(value),
            ("artist", Some(item), _) => item.artist = value.or(item.artist.take()),
            ("creator", Some(item), _) => item.artist = item.artist.take().or(value),
            ("album", Some(item), _) => item.album = value,
            ("genre", Some(item), _) => item.genre = item.genre.take().or(value),
            ("albumArtURI", Some(item), _) => item.cover = item.cover.take().or(value),
            ("originalTrackNumber", Some(item), _) => item.track = value.and_then(|n| n.parse().ok()),
            _ => {}
        }
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().with_checks(false).flatten().find(|a| local(a.key.as_ref()) == name)?;
    Some(unescape(&found.value))
}

/// Reads a length: `H+:MM:SS[.F+]` or `.F0/F1` (ContentDirectory:1, appendix B.2); tolerant of missing hours.
pub fn duration(text: &str) -> Option<Millis> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let mut seconds: u64 = 0;
    for part in whole.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.trim().parse().ok()?)?;
    }
    let millis = match fraction.split_once('/') {
        Some((over, under)) => {
            over.parse::<u64>().ok()?.checked_mul(1000)?.checked_div(under.parse().ok()?)?
        }
        None if fraction.is_empty() => 0,
        None => {
            let digits: String = fraction.chars().take(3).collect();
            digits.parse::<u64>().ok()? * 10u64.pow(3 - digits.len() as u32)
        }
    };
    Some(Millis(seconds.checked_mul(1000)?.checked_add(millis)?))
}

/// A page of 200 things with long metadata is far below this.
const LARGEST: usize = 8 << 20;
/// Bytes of a title, a number, a URL; longer ones are as good as none.
const LONGEST_TEXT: usize = 4096;
/// Ways to get one thing.
const MOST_WAYS: usize = 16;
const MOST_THINGS: usize = 25_000;
const DEEPEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = r#"<DIDL-Lite xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:upnp="u" xmlns="d">
      <container id="64" parentID="0" restricted="1" childCount="3"><dc:title>Browse &amp; Folders</dc:title>
        <upnp:class>object.container.storageFolder</upnp:class></container>
      <item id="1$4$0" parentID="1$4" restricted="1" refID="64$0"><dc:title>夢 &#x1F3B5; A&amp;B</dc:title>
        <upnp:class>object.item.audioItem.musicTrack</upnp:class><dc:creator>Creator</dc:creator>
        <upnp:artist>Artist</upnp:artist><upnp:album>Album</upnp:album><upnp:originalTrackNumber>3</upnp:originalTrackNumber>
        <res size="1234" duration="0:03:21.500" bitrate="176400" protocolInfo="http-get:*:audio/x-flac:DLNA.ORG_OP=01;DLNA.ORG_CI=0">http://10.77.0.2:8200/MediaItems/22.flac?a=1&amp;b=2</res>
        <res protocolInfo="http-get:*:audio/L16;rate=44100:DLNA.ORG_CI=1">http://10.77.0.2/x.pcm</res></item></DIDL-Lite>"#;

    #[test]
    fn a_page_of_minidlna_is_read() {
        let didl = parse(PAGE).expect("well formed");
        assert_eq!(
            (didl.containers[0].id.as_str(), didl.containers[0].title.as_str()),
            ("64", "Browse & Folders")
        );
        let item = &didl.items[0];
        assert_eq!((item.title.as_str(), item.artist.as_deref()), ("夢 🎵 A&B", Some("Artist")));
        assert_eq!((item.track, item.ref_id.as_deref()), (Some(3), Some("64$0")));
        let res = &item.resources[0];
        assert_eq!((res.size, res.duration), (Some(ByteCount(1234)), Some(Millis(201_500))));
        assert_eq!(res.url, "http://10.77.0.2:8200/MediaItems/22.flac?a=1&b=2");
        assert_eq!((res.mime().as_str(), res.is_http(), res.is_converted()), ("audio/x-flac", true, false));
        assert_eq!(
            (item.resources[1].mime().as_str(), item.resources[1].is_converted()),
            ("audio/l16", true)
        );
    }

    #[test]
    fn a_page_cut_off_keeps_what_is_whole() {
        let didl = parse(&PAGE[..PAGE.find("<item").expect("there") + 60]).expect("the container is whole");
        assert_eq!((didl.containers.len(), didl.items.len(), didl.cut), (1, 0, true));
        assert!(!parse(PAGE).expect("whole").cut);
        assert!(parse(&PAGE[..20]).is_err() && parse("no listing").is_err());
        assert_eq!(parse("").expect("an empty folder"), Didl::default());
        assert_eq!(parse("<DIDL-Lite/>").expect("an empty folder"), Didl::default());
    }

    #[test]
    fn what_servers_get_wrong_is_read_all_the_same() {
        for (title, want) in [
            ("Rock & Roll", "Rock & Roll"),
            ("R&B", "R&B"),
            ("Caf&eacute; &hellip;", "Café …"),
            ("12&amp;quot; Mix", "12\" Mix"),
            ("A &amp;amp; B", "A & B"),
            ("half &#xD83D; a pair", "half  a pair"),
            ("<![CDATA[<Live>]]>", "<Live>"),
            ("plain</dc:titel>", "plain"),
        ] {
            let text = format!(
                "<DIDL-Lite><item id=\"a&b\"><undeclared:thing/><dc:title>{title}</dc:title>\
                 <res>http://x/?a=1&b=2</res></item></DIDL-Lite>"
            );
            let didl = parse(&text).unwrap_or_else(|error| panic!("{title}: {error}"));
            let item = &didl.items[0];
            assert_eq!(
                (item.id.as_str(), item.resources[0].url.as_str()),
                ("a&b", "http://x/?a=1&b=2"),
                "{title}"
            );
            if !title.contains("titel") {
                assert_eq!(item.title, want);
            }
        }
        let with_dtd = "<!DOCTYPE x [<!ENTITY y \"boom\">]><DIDL-Lite><item id=\"1\"><dc:title>&y;</dc:title></item></DIDL-Lite>";
        assert_eq!(parse(with_dtd).expect("read").items[0].title, "&y;");
    }

    #[test]
    fn lengths_are_read_as_servers_write_them() {
        for (text, want) in [
            ("0:00:03.021", Some(3021)),
            ("01:02:03", Some(3_723_000)),
            ("3:21", Some(201_000)),
            ("0:00:01.5", Some(1500)),
            ("0:00:01.1/4", Some(1250)),
            ("0:00:01.1/0", None),
            ("", None),
            ("-1:00", None),
            ("99999999999999999999:00:00", None),
        ] {
            assert_eq!(duration(text), want.map(Millis), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_listing_breaks_the_reader(at in 0usize..1500, with in "[<>&/\"=a-z0-9 ]{0,30}") {
            let at = (0..=at.min(PAGE.len())).rev().find(|&i| PAGE.is_char_boundary(i)).unwrap_or(0);
            let _either_way = parse(&format!("{}{with}{}", &PAGE[..at], &PAGE[at..]));
            let _cut = parse(&PAGE[..at]);
        }
    }
}
