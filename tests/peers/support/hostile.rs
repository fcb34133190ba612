//! A media server of our own that does what the worst ones do, one thing each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use super::fixtures;
use super::net::Host;

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing wrong, as a measure.
    Good,
    /// Its address takes no connection.
    HangsAtConnect,
    /// It takes connections and says nothing.
    HangsAtDescription,
    /// Its description stops in the middle.
    HangsInDescription,
    /// Its files stop in the middle.
    HangsInBody,
    /// Its files come in drops.
    Slow,
    /// `&` in titles.
    BareAmpersand,
    /// A prefix that nobody declared.
    UndeclaredPrefix,
    /// Bytes of ISO 8859-1.
    Latin1,
    /// Characters that XML forbids.
    ControlCharacters,
    /// Every answer ends in the middle of its last thing.
    Truncated,
    /// Its Result is CDATA.
    Cdata,
    /// Its Result holds elements instead of text.
    InlineElements,
    /// The sizes in its listing are wrong.
    LiesAboutSize,
    /// Its files are shorter than their headers say.
    LiesAboutLength,
    /// Its counts are wrong.
    LiesAboutCount,
    /// Every page is the first one.
    IgnoresStart,
    /// Its folders hold each other, and ever new ones.
    LoopsContainers,
    /// More than a house holds.
    TwoHundredThousand,
    /// No SERVER header, neither here nor there.
    NoServerHeader,
    /// Its description has a DTD with an entity.
    Dtd,
    /// Its URLs have no leading slash.
    RelativeUrls,
    /// Its URLs are whole.
    AbsoluteUrls,
    /// It does not say where it can be asked.
    EmptyUrls,
    /// Its files are at 127.0.0.1.
    RedirectsToLoopback,
    /// Its description is at 127.0.0.1.
    DescriptionAtLoopback,
}

/// Every mode.
pub const ALL: [Mode; 26] = [
    Mode::Good,
    Mode::HangsAtConnect,
    Mode::HangsAtDescription,
    Mode::HangsInDescription,
    Mode::HangsInBody,
    Mode::Slow,
    Mode::BareAmpersand,
    Mode::UndeclaredPrefix,
    Mode::Latin1,
    Mode::ControlCharacters,
    Mode::Truncated,
    Mode::Cdata,
    Mode::InlineElements,
    Mode::LiesAboutSize,
    Mode::LiesAboutLength,
    Mode::LiesAboutCount,
    Mode::IgnoresStart,
    Mode::LoopsContainers,
    Mode::TwoHundredThousand,
    Mode::NoServerHeader,
    Mode::Dtd,
    Mode::RelativeUrls,
    Mode::AbsoluteUrls,
    Mode::EmptyUrls,
    Mode::RedirectsToLoopback,
    Mode::DescriptionAtLoopback,
];

/// The songs of each.
pub const SONGS: usize = 3;

struct Server {
    mode: Mode,
    address: Ipv4Addr,
    port: u16,
}

/// Starts one on a machine; its threads end with the machine.
pub fn start(host: &Host, mode: Mode) {
    let server = serve(host, mode);
    let announce = move || {
        let socket = UdpSocket::bind((server.address, 0)).expect("a socket");
        std::thread::spawn(move || {
            // The namespace is gone when the test is over: then this ends.
            while socket.send_to(server.notify().as_bytes(), (GROUP, 1900)).is_ok() {
                std::thread::sleep(Duration::from_millis(700));
            }
        });
    };
    host.within(announce).join().expect("it announces");
}

/// Starts one that nobody hears of. Returns its port.
pub fn start_quietly(host: &Host, mode: Mode) -> u16 {
    serve(host, mode).port
}

fn serve(host: &Host, mode: Mode) -> Arc<Server> {
    let address = host.address;
    let listen = move || {
        let listener = TcpListener::bind((address, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Arc::new(Server { mode, address, port });
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                std::thread::spawn(move || {
                    // A client that goes away is no failure of the test.
                    let _gone = server.serve(stream);
                });
            }
        });
        server
    };
    host.within(listen).join().expect("it listens")
}

/// The name under which konpo shows it.
pub fn name(mode: Mode) -> String {
    format!("{mode:?}")
}

/// Its UDN without `uuid:`.
pub fn udn(mode: Mode) -> String {
    format!("00000000-0000-4000-8000-0000000005{:02x}", mode as u8)
}

/// A song of it, as a WAV file.
pub fn song(mode: Mode, number: usize) -> Vec<u8> {
    fixtures::noise(70_000 + mode as u64 * 1000 + number as u64, 22_050, 16, 22_050).wav()
}

impl Server {
    fn notify(&self) -> String {
        let (mode, address) = (self.mode, self.address);
        let place = match mode {
            // Nobody has this address.
            Mode::HangsAtConnect => "10.77.0.250:80".to_owned(),
            Mode::DescriptionAtLoopback => format!("127.0.0.1:{}", self.port),
            _ => format!("{address}:{}", self.port),
        };
        let server = if mode == Mode::NoServerHeader { "" } else { "SERVER: Linux UPnP/1.0 Worst/1\r\n" };
        format!(
            "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age=1800\r\n\
             LOCATION: http://{place}/description.xml\r\nNT: urn:schemas-upnp-org:device:MediaServer:1\r\n\
             NTS: ssdp:alive\r\n{server}USN: uuid:{}::urn:schemas-upnp-org:device:MediaServer:1\r\n\r\n",
            udn(mode)
        )
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let (mut length, mut action) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            let (key, value) = line.split_once(':').unwrap_or_default();
            match key.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "soapaction" => {
                    action = value.trim().trim_matches('"').rsplit('#').next().unwrap_or_default().to_owned()
                }
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let path = request.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let mut out = stream;
        match (self.mode, path.as_str()) {
            (Mode::HangsAtDescription, _) => std::thread::sleep(FOR_EVER),
            (Mode::HangsInDescription, "/description.xml") => {
                let text = self.description();
                write!(
                    out,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
                    text.len(),
                    &text[..text.len() / 2]
                )?;
                out.flush()?;
                std::thread::sleep(FOR_EVER);
            }
            (_, "/description.xml") => self.answer(&mut out, self.description().as_bytes())?,
            (_, path) if path.contains("control") => {
                let answer = self.call(&action, &String::from_utf8_lossy(&body));
                self.answer(&mut out, &answer)?;
            }
            (Mode::RedirectsToLoopback, path) => {
                write!(
                    out,
                    "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{}{path}\r\nContent-Length: 0\r\n\r\n",
                    self.port
                )?;
            }
            (_, path) => self.media(&mut out, path)?,
        }
        Ok(())
    }

    fn answer(&self, out: &mut TcpStream, body: &[u8]) -> std::io::Result<()> {
        let server = if self.mode == Mode::NoServerHeader { "" } else { "Server: Worst/1\r\n" };
        write!(
            out,
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n{server}Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        out.write_all(body)
    }

    fn media(&self, out: &mut TcpStream, path: &str) -> std::io::Result<()> {
        let number =
            path.rsplit('/').next().and_then(|name| name.split('.').next()?.parse().ok()).unwrap_or(0);
        let song = song(self.mode, number);
        let said = if self.mode == Mode::LiesAboutLength { song.len() * 2 } else { song.len() };
        write!(
            out,
            "HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nConnection: close\r\nContent-Length: {said}\r\n\r\n"
        )?;
        if self.mode == Mode::HangsInBody {
            out.write_all(&song[..song.len() / 2])?;
            out.flush()?;
            std::thread::sleep(FOR_EVER);
        }
        if self.mode == Mode::Slow {
            for drop in song.chunks(song.len() / 20) {
                out.write_all(drop)?;
                std::thread::sleep(Duration::from_millis(200));
            }
            return Ok(());
        }
        out.write_all(&song)
    }

    fn description(&self) -> String {
        let (dtd, word) = match self.mode {
            Mode::Dtd => ("<!DOCTYPE root [<!ENTITY x \"boom\">]>", "&x;"),
            _ => ("", ""),
        };
        let place = format!("http://{}:{}", self.address, self.port);
        let (scpd, control, event) = match self.mode {
            Mode::RelativeUrls => ("scpd.xml".to_owned(), "control".to_owned(), "event".to_owned()),
            Mode::AbsoluteUrls => {
                (format!("{place}/scpd"), format!("{place}/control"), format!("{place}/event"))
            }
            Mode::EmptyUrls => (String::new(), String::new(), String::new()),
            _ => ("/scpd".to_owned(), "/control".to_owned(), "/event".to_owned()),
        };
        format!(
            "<?xml version=\"1.0\"?>{dtd}<root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device>\
             <deviceType>urn:schemas-upnp-org:device:MediaServer:1</deviceType><friendlyName>{:?}</friendlyName>\
             <manufacturer>Worst {word}</manufacturer><modelName>One</modelName><UDN>uuid:{}</UDN><serviceList><service>\
             <serviceType>urn:schemas-upnp-org:service:ContentDirectory:1</serviceType>\
             <serviceId>urn:upnp-org:serviceId:ContentDirectory</serviceId><SCPDURL>{scpd}</SCPDURL>\
             <controlURL>{control}</controlURL><eventSubURL>{event}</eventSubURL></service></serviceList></device></root>",
            self.mode,
            udn(self.mode)
        )
    }

    fn call(&self, action: &str, body: &str) -> Vec<u8> {
        let argument = |name: &str| {
            let (_, rest) = body.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.to_owned())
        };
        let number = |name: &str| argument(name).and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
        let values = match action {
            "GetSystemUpdateID" => "<Id>7</Id>".to_owned(),
            "Browse" => self.browse(
                &argument("ObjectID").unwrap_or_default(),
                number("StartingIndex"),
                number("RequestedCount"),
            ),
            _ => "<SearchCaps></SearchCaps><SortCaps></SortCaps>".to_owned(),
        };
        let text = format!(
            "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
             <u:{action}Response xmlns:u=\"urn:schemas-upnp-org:service:ContentDirectory:1\">{values}\
             </u:{action}Response></s:Body></s:Envelope>"
        );
        // The letter stands for a byte that is no UTF-8.
        match self.mode {
            Mode::Latin1 => text.bytes().map(|b| if b == b'~' { 0xE9 } else { b }).collect(),
            _ => text.into_bytes(),
        }
    }

    fn browse(&self, id: &str, start: usize, count: usize) -> String {
        let all = match self.mode {
            Mode::TwoHundredThousand => 200_000,
            Mode::IgnoresStart => 120,
            _ => SONGS,
        };
        let mut things = String::new();
        let folders = if self.mode == Mode::LoopsContainers && start == 0 { 2 } else { 0 };
        if folders > 0 {
            // Back to the root, and on to a folder that is always new.
            for folder in ["0".to_owned(), format!("{id}x")] {
                things += &format!(
                    "<container id=\"{folder}\" parentID=\"{id}\"><dc:title>Again</dc:title>\
                     <upnp:class>object.container</upnp:class></container>"
                );
            }
        }
        let start = if self.mode == Mode::IgnoresStart { 0 } else { start };
        let end = (start + count).min(all);
        for number in start..end {
            things += &self.item(number);
        }
        let mut didl = format!(
            "<DIDL-Lite xmlns=\"urn:schemas-upnp-org:metadata-1-0/DIDL-Lite/\" xmlns:dc=\"d\" xmlns:upnp=\"u\">{things}</DIDL-Lite>"
        );
        if self.mode == Mode::Truncated && end > start + 1 {
            didl.truncate(didl.rfind("<res").unwrap_or(didl.len()));
        }
        let result = match self.mode {
            Mode::Cdata => format!("<![CDATA[{didl}]]>"),
            Mode::InlineElements => didl,
            _ => didl.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
        };
        let (returned, total) = match self.mode {
            Mode::LiesAboutCount => (0, 1),
            _ => (end.saturating_sub(start) + folders, all + folders),
        };
        format!(
            "<Result>{result}</Result><NumberReturned>{returned}</NumberReturned><TotalMatches>{total}</TotalMatches>\
             <UpdateID>7</UpdateID>"
        )
    }

    fn item(&self, number: usize) -> String {
        let title = match self.mode {
            Mode::BareAmpersand => format!("Rock & Roll {number}"),
            Mode::Latin1 => format!("Caf~ {number}"),
            Mode::ControlCharacters => format!("Bell\u{7} {number}\u{1}"),
            _ => format!("Song {number}"),
        };
        let extra =
            if self.mode == Mode::UndeclaredPrefix { "<sec:CaptionInfoEx>x</sec:CaptionInfoEx>" } else { "" };
        let size = match self.mode {
            Mode::LiesAboutSize if number.is_multiple_of(2) => 7,
            Mode::LiesAboutSize => 99_999_999,
            _ => 44 + 88_200,
        };
        let place = match self.mode {
            Mode::RelativeUrls => String::new(),
            Mode::NoServerHeader => "/".to_owned(),
            _ => format!("http://{}:{}/", self.address, self.port),
        };
        format!(
            "<item id=\"m{number}\" parentID=\"0\" restricted=\"1\"><dc:title>{title}</dc:title>{extra}\
             <upnp:class>object.item.audioItem.musicTrack</upnp:class><upnp:artist>{:?}</upnp:artist>\
             <res protocolInfo=\"http-get:*:audio/wav:*\" size=\"{size}\">{place}media/{number}.wav</res></item>",
            self.mode
        )
    }
}

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const FOR_EVER: Duration = Duration::from_secs(600);
