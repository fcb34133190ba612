//! What we say of our own devices, when and to whom: announcements, farewells, answers to searches (reference upnp 1.1 to
//! 1.5). Pure; the clock and chance are arguments. Whoever owns the sockets sends what is due.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use crate::lan::interfaces::Interface;
use crate::lan::sockets::{GROUP, PORT};
use crate::wire::ssdp::{MAX_AGE, Own};

/// A root device of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// Its name, without `uuid:`.
    pub udn: String,
    /// The path of its description, with a leading slash.
    pub path: String,
    /// Its type, then those of its services.
    pub kinds: Vec<String>,
    /// Which description it is, below 2^24: another one when it changes.
    pub config_id: u32,
}

/// A datagram to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Through which network, from our address there.
    pub interface: Interface,
    /// To whom.
    pub to: SocketAddrV4,
    /// What.
    pub text: String,
}

/// A search that somebody sent.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What is looked for.
    pub target: &'a str,
    /// Within how many seconds; `None`: it does not say.
    pub mx: Option<u32>,
    /// By whom.
    pub from: SocketAddrV4,
    /// Whether it was sent to us alone.
    pub to_us_alone: bool,
}

/// Chance: a number from 0 to 1.
pub type Chance = fn() -> f64;

/// Plans what is said. Nothing is said of no devices.
#[derive(Debug)]
pub struct Announcer {
    http_port: u16,
    chance: Chance,
    devices: Vec<Advertised>,
    joined: HashMap<Interface, Joined>,
    last_boot: u32,
    due: Vec<Due>,
    askers: VecDeque<Asker>,
}

#[derive(Debug)]
struct Joined {
    boot_id: u32,
    /// When the next set is planned.
    again: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Due {
    at: Instant,
    interface: Interface,
    device: usize,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Alive(String),
    Byebye(String),
    /// To whom, and what was searched for.
    Answer(SocketAddrV4, String),
}

/// Somebody who searches, and how much he may still be answered.
#[derive(Debug)]
struct Asker {
    address: Ipv4Addr,
    left: f64,
    since: Instant,
}

impl Announcer {
    /// Returns one that says nothing yet. `boot_id` is the lowest number that networks are joined with.
    pub fn new(http_port: u16, boot_id: u32, chance: Chance) -> Announcer {
        Announcer {
            http_port,
            chance,
            devices: Vec::new(),
            joined: HashMap::new(),
            last_boot: boot_id & LARGEST_BOOT,
            due: Vec::new(),
            askers: VecDeque::new(),
        }
    }

    /// Sets the devices. On every network each is taken back once, in case it is remembered from before a crash, and then
    /// announced.
    pub fn set(&mut self, devices: Vec<Advertised>, now: Instant) {
        self.devices = devices;
        self.due.clear();
        let networks: Vec<Interface> = self.joined.keys().cloned().collect();
        for interface in networks {
            self.begin(&interface, now);
        }
    }

    /// A network is there, or there again.
    pub fn join(&mut self, interface: &Interface, now: Instant) {
        self.last_boot = (self.last_boot + 1) & LARGEST_BOOT;
        self.joined.insert(interface.clone(), Joined { boot_id: self.last_boot, again: now });
        self.begin(interface, now);
    }

    /// A network is gone; nothing can be said there any more.
    pub fn leave(&mut self, interface: &Interface) {
        self.joined.remove(interface);
        self.due.retain(|due| due.interface != *interface);
    }

    fn begin(&mut self, interface: &Interface, now: Instant) {
        let again = now + self.until_again();
        if let Some(joined) = self.joined.get_mut(interface) {
            joined.again = again;
        }
        let start = now + FIRST_WITHIN.mul_f64((self.chance)());
        // One name that says good-bye takes the whole device away for some apps: every one is over before the first is here.
        let first = self.plan(interface, start, What::Byebye) + AFTER_BYEBYE;
        for after in SETS {
            self.plan(interface, first + after, What::Alive);
        }
    }

    /// Plans one set: every kind of every device, one after the other. Returns when it is over.
    fn plan(&mut self, interface: &Interface, start: Instant, what: fn(String) -> What) -> Instant {
        let mut at = start;
        for (device, advertised) in self.devices.iter().enumerate() {
            for kind in advertised.rows() {
                if self.due.len() < MOST_DUE {
                    self.due.push(Due { at, interface: interface.clone(), device, what: what(kind) });
                }
                at += BETWEEN;
            }
        }
        at
    }

    /// Between 0.3 and 0.5 of the time that an announcement holds, so that one may be lost.
    fn until_again(&self) -> Duration {
        MAX_AGE.mul_f64(0.3 + 0.2 * (self.chance)())
    }

    /// Takes a search. It is answered through the network that it came from, if it asks for something that is here, says
    /// how long it waits unless it was sent to us alone, and its sender does not ask for too much.
    pub fn search(&mut self, asked: Asked<'_>, interface: &Interface, now: Instant) {
        let wait = match (asked.to_us_alone, asked.mx) {
            (true, _) | (_, Some(0)) => Duration::ZERO,
            (false, Some(_)) => SPREAD,
            (false, None) => return,
        };
        if asked.from.port() == 0
            || !interface.reaches(*asked.from.ip())
            || !self.joined.contains_key(interface)
        {
            return;
        }
        let found: Vec<(usize, String)> = self
            .devices
            .iter()
            .enumerate()
            .flat_map(|(index, device)| {
                device.answers(asked.target).into_iter().map(move |kind| (index, kind))
            })
            .collect();
        // Who is answered and then hears the good-bye that clears memories would think that the box has left.
        let clearing = |due: &&Due| matches!(due.what, What::Byebye(_)) && due.interface == *interface;
        let cleared = self.due.iter().filter(clearing).map(|due| due.at + AFTER_BYEBYE).max().unwrap_or(now);
        let start = cleared.max(now + wait.mul_f64((self.chance)()));
        for (number, (device, kind)) in found.into_iter().enumerate() {
            let what = What::Answer(asked.from, kind);
            // The same question again, as everybody asks it, before the first one was answered.
            let is_planned = self.due.iter().any(|due| due.device == device && due.what == what);
            if is_planned || self.due.len() >= MOST_DUE || !self.may_be_answered(*asked.from.ip(), now) {
                continue;
            }
            let at = start + BETWEEN_ANSWERS * u32::try_from(number).unwrap_or(u32::MAX);
            self.due.push(Due { at, interface: interface.clone(), device, what });
        }
    }

    fn may_be_answered(&mut self, address: Ipv4Addr, now: Instant) -> bool {
        let index = self.askers.iter().position(|asker| asker.address == address);
        let mut asker = match index.and_then(|index| self.askers.remove(index)) {
            Some(asker) => asker,
            None => Asker { address, left: ANSWERS_A_SECOND, since: now },
        };
        let passed = now.duration_since(asker.since).as_secs_f64();
        asker.left = (asker.left + passed * ANSWERS_A_SECOND).min(ANSWERS_A_SECOND);
        asker.since = now;
        let may = asker.left >= 1.0;
        if may {
            asker.left -= 1.0;
        }
        // The one who asked longest ago is forgotten.
        if self.askers.len() >= MOST_ASKERS {
            self.askers.pop_front();
        }
        self.askers.push_back(asker);
        may
    }

    /// Returns when something is due.
    pub fn next(&self) -> Option<Instant> {
        let again = self.joined.values().map(|joined| joined.again).filter(|_| !self.devices.is_empty());
        self.due.iter().map(|due| due.at).chain(again).min()
    }

    /// Returns what is due, in the order in which it was planned.
    pub fn take(&mut self, now: Instant) -> Vec<Datagram> {
        let over: Vec<Interface> = self
            .joined
            .iter()
            .filter(|(_, joined)| joined.again <= now)
            .map(|(name, _)| name.clone())
            .collect();
        for interface in over {
            let again = now + self.until_again();
            if let Some(joined) = self.joined.get_mut(&interface) {
                joined.again = again;
            }
            for after in SETS {
                self.plan(&interface, now + after, What::Alive);
            }
        }
        let (mut due, later): (Vec<Due>, Vec<Due>) =
            std::mem::take(&mut self.due).into_iter().partition(|due| due.at <= now);
        self.due = later;
        due.sort_by_key(|due| due.at);
        due.iter().filter_map(|due| self.datagram(due)).collect()
    }

    /// Returns the farewell on every network, one set; nothing more is planned afterwards.
    pub fn farewell(&mut self) -> Vec<Datagram> {
        self.due.clear();
        let now = Instant::now();
        let networks: Vec<Interface> = self.joined.keys().cloned().collect();
        for interface in &networks {
            self.plan(interface, now, What::Byebye);
        }
        std::mem::take(&mut self.due).iter().filter_map(|due| self.datagram(due)).collect()
    }

    fn datagram(&self, due: &Due) -> Option<Datagram> {
        let (device, joined) = (self.devices.get(due.device)?, self.joined.get(&due.interface)?);
        let location = format!("http://{}:{}{}", due.interface.address, self.http_port, device.path);
        let (to, kind) = match &due.what {
            What::Alive(kind) | What::Byebye(kind) => (SocketAddrV4::new(GROUP, PORT), kind),
            What::Answer(to, kind) => (*to, kind),
        };
        let own = Own {
            udn: &device.udn,
            kind,
            location: &location,
            boot_id: joined.boot_id,
            config_id: device.config_id,
        };
        let text = match due.what {
            What::Alive(_) => own.alive(),
            What::Byebye(_) => own.byebye(),
            What::Answer(..) => own.answer(),
        };
        Some(Datagram { interface: due.interface.clone(), to, text })
    }
}

impl Advertised {
    /// What it is announced as: `3 + k` rows for k types of services (reference upnp 1.1).
    fn rows(&self) -> Vec<String> {
        let all = ["upnp:rootdevice".to_owned(), format!("uuid:{}", self.udn)];
        all.into_iter().chain(self.kinds.iter().cloned()).collect()
    }

    /// What it answers to a search: the rows for `ssdp:all`, else what was searched for, as it was written.
    fn answers(&self, target: &str) -> Vec<String> {
        if target == "ssdp:all" {
            return self.rows();
        }
        let is_uuid = target.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("uuid:"));
        let found = target == "upnp:rootdevice"
            || is_uuid && target[5..].eq_ignore_ascii_case(&self.udn)
            || self.kinds.iter().any(|kind| serves(kind, target));
        if found { vec![target.to_owned()] } else { Vec::new() }
    }
}

/// Returns whether a type is the one searched for, in that version or a higher one (UDA 1.0, 1.2.3).
fn serves(own: &str, target: &str) -> bool {
    let parts = own.rsplit_once(':').zip(target.rsplit_once(':'));
    parts.is_some_and(|((own, has), (target, wants))| {
        let numbers = has.parse::<u32>().ok().zip(wants.parse::<u32>().ok());
        own == target && numbers.is_some_and(|(has, wants)| has >= wants)
    })
}

/// The sets of one announcement: UDP loses some.
const SETS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(3)];
const FIRST_WITHIN: Duration = Duration::from_millis(100);
/// How long after the farewell that clears memories the box is here.
const AFTER_BYEBYE: Duration = Duration::from_millis(200);
const BETWEEN: Duration = Duration::from_millis(20);
const BETWEEN_ANSWERS: Duration = Duration::from_millis(10);
/// Answers are spread over this time, whatever MX allows (UDA 1.0, 1.2.3; a home has few devices). libupnp 1.14 with IPv6 (MPD's
/// database of UPnP) counts MX in whole seconds from before its first datagram: of 2 s it hears 0.6, measured.
const SPREAD: Duration = Duration::from_millis(500);
const ANSWERS_A_SECOND: f64 = 20.0;
const MOST_ASKERS: usize = 256;
/// What would come after these is lost, as UDP may lose it.
const MOST_DUE: usize = 2048;
/// BOOTID has 31 bits.
const LARGEST_BOOT: u32 = u32::MAX >> 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ssdp::{Message, parse};

    const SERVER: &str = "urn:schemas-upnp-org:device:MediaServer:1";
    const CONNECTIONS: &str = "urn:schemas-upnp-org:service:ConnectionManager:1";

    fn nic(number: u8) -> Interface {
        let address = Ipv4Addr::new(10, 77, number, 1);
        Interface { name: format!("eth{number}"), index: number.into(), address, prefix: 24 }
    }

    fn device() -> Advertised {
        let kinds = vec![SERVER.to_owned(), CONNECTIONS.to_owned()];
        Advertised { udn: "4d696e69-01".into(), path: "/d.xml".into(), kinds, config_id: 5 }
    }

    fn announcer(now: Instant) -> Announcer {
        let mut announcer = Announcer::new(8200, 100, || 0.5);
        announcer.join(&nic(1), now);
        announcer.set(vec![device()], now);
        announcer
    }

    /// Everything that is said until `until`, with its time.
    fn until(announcer: &mut Announcer, until: Instant) -> Vec<(Instant, Datagram)> {
        let mut said = Vec::new();
        while let Some(at) = announcer.next().filter(|at| *at <= until) {
            said.extend(announcer.take(at).into_iter().map(|datagram| (at, datagram)));
        }
        said
    }

    fn ask<'a>(target: &'a str, mx: Option<u32>) -> Asked<'a> {
        let from = SocketAddrV4::new(Ipv4Addr::new(10, 77, 1, 9), 5000);
        Asked { target, mx, from, to_us_alone: false }
    }

    fn answers(target: &str, mx: Option<u32>) -> Vec<(Duration, String)> {
        let now = Instant::now();
        let mut announcer = announcer(now);
        until(&mut announcer, now + Duration::from_secs(10));
        let now = now + Duration::from_secs(20);
        announcer.search(ask(target, mx), &nic(1), now);
        let said = until(&mut announcer, now + Duration::from_secs(10));
        said.into_iter().map(|(at, datagram)| (at - now, datagram.text)).collect()
    }

    fn kinds(said: &[(Instant, Datagram)], nts: &str) -> Vec<String> {
        let nts = format!("NTS: {nts}\r\n");
        let line = |text: &str| text.lines().find_map(|line| line.strip_prefix("NT: ")).map(str::to_owned);
        said.iter().filter(|(_, d)| d.text.contains(&nts)).filter_map(|(_, d)| line(&d.text)).collect()
    }

    /// Reference upnp 1.3: "before first alive", "repeat of each set", "first announce".
    #[test]
    fn a_device_is_taken_back_once_and_announced_three_times() {
        let now = Instant::now();
        let mut announcer = announcer(now);
        let said = until(&mut announcer, now + Duration::from_secs(60));
        let uuid = "uuid:4d696e69-01";
        assert_eq!(kinds(&said, "ssdp:byebye"), ["upnp:rootdevice", uuid, SERVER, CONNECTIONS]);
        assert_eq!(kinds(&said, "ssdp:alive"), ["upnp:rootdevice", uuid, SERVER, CONNECTIONS].repeat(3));
        assert!(said[0].0 - now <= FIRST_WITHIN);
        assert!(said.windows(2).all(|two| two[1].0 - two[0].0 >= BETWEEN), "spread");
        assert!(said[3].1.text.contains("byebye") && said[4].1.text.contains("alive"));
        assert!(said.iter().all(|(_, d)| d.to == SocketAddrV4::new(GROUP, PORT) && d.interface == nic(1)));
        assert!(said[4].1.text.contains("LOCATION: http://10.77.1.1:8200/d.xml\r\n"), "{}", said[4].1.text);
    }

    /// Two devices with many services: their good-byes take longer than the pause behind one of them.
    #[test]
    fn nobody_who_searches_at_the_start_hears_a_good_bye_afterwards() {
        let now = Instant::now();
        let kinds: Vec<String> = (0..30).map(|number| format!("urn:x:service:S{number}:1")).collect();
        let many = Advertised { udn: "4d696e69-02".into(), kinds, ..device() };
        let mut announcer = Announcer::new(8200, 1, || 0.5);
        announcer.join(&nic(1), now);
        announcer.set(vec![device(), many], now);
        for (mx, alone) in [(Some(1), false), (None, true)] {
            announcer.search(Asked { to_us_alone: alone, ..ask(SERVER, mx) }, &nic(1), now);
        }
        let said = until(&mut announcer, now + Duration::from_secs(60));
        let last = said.iter().rposition(|(_, d)| d.text.contains("ssdp:byebye")).expect("a good-bye");
        assert!(said[..last].iter().all(|(_, d)| d.text.contains("ssdp:byebye")));
        assert_eq!(said[last + 1..].iter().filter(|(_, d)| d.text.starts_with("HTTP/1.1 200")).count(), 1);
    }

    /// Reference upnp 1.3: "re-announce".
    #[test]
    fn it_is_announced_again_long_before_it_is_forgotten() {
        for (chance, want) in [((|| 0.0) as Chance, 540), (|| 1.0, 900)] {
            let now = Instant::now();
            let mut announcer = Announcer::new(8200, 1, chance);
            announcer.join(&nic(1), now);
            announcer.set(vec![device()], now);
            until(&mut announcer, now + Duration::from_secs(60));
            let at = announcer.next().expect("again") - now;
            assert_eq!(at.as_secs(), want);
            let said = until(&mut announcer, now + Duration::from_secs(want + 60));
            assert_eq!(kinds(&said, "ssdp:alive").len(), 12);
            assert_eq!(kinds(&said, "ssdp:byebye").len(), 0);
        }
    }

    #[test]
    fn without_devices_nothing_is_said() {
        let now = Instant::now();
        let mut announcer = Announcer::new(8200, 1, || 0.5);
        announcer.join(&nic(1), now);
        announcer.search(ask("ssdp:all", Some(1)), &nic(1), now);
        assert_eq!(announcer.next(), None);
        assert_eq!(announcer.farewell(), []);
    }

    /// Reference upnp 1.3: "MX", "version match", "ssdp:all".
    #[test]
    fn searches_are_answered_when_they_say_how_long_they_wait() {
        let uuid = "UUID:4D696E69-01";
        for target in ["upnp:rootdevice", uuid, SERVER, CONNECTIONS] {
            let got = answers(target, Some(3));
            assert_eq!(got.len(), 1, "{target}");
            assert!(got[0].1.contains(&format!("ST: {target}\r\n")), "{}", got[0].1);
            assert!(matches!(parse(got[0].1.as_bytes()), Some(Message::Here(_))));
        }
        assert_eq!(answers("ssdp:all", Some(3)).len(), 4);
        for target in [
            "urn:schemas-upnp-org:device:MediaServer:9",
            "urn:schemas-upnp-org:device:MediaServer:x",
            "urn:schemas-upnp-org:device:MediaRenderer:1",
            "uuid:other",
            "uuid:",
            "é:é",
            "",
        ] {
            assert_eq!(answers(target, Some(3)).len(), 0, "{target}");
        }
        assert_eq!(answers(SERVER, None).len(), 0, "no MX");
        assert_eq!(answers(SERVER, Some(0))[0].0, Duration::ZERO);
        for mx in [1, 2, 300] {
            assert_eq!(answers(SERVER, Some(mx))[0].0, SPREAD / 2, "long before {mx} s are over");
        }
    }

    #[test]
    fn a_higher_version_answers_a_lower_one() {
        let check = |own, target, want| assert_eq!(serves(own, target), want, "{own} for {target}");
        check("urn:x:device:A:3", "urn:x:device:A:1", true);
        check("urn:x:device:A:3", "urn:x:device:A:3", true);
        check("urn:x:device:A:3", "urn:x:device:A:4", false);
        check("urn:x:device:A:3", "urn:y:device:A:3", false);
        check("urn:x:device:A:3", "urn:x:service:A:3", false);
    }

    /// Reference upnp 1.3: "unicast M-SEARCH", "rate limit".
    #[test]
    fn who_asks_us_alone_is_answered_at_once_and_who_asks_too_much_is_not() {
        let now = Instant::now();
        let mut announcer = announcer(now);
        until(&mut announcer, now + Duration::from_secs(10));
        let later = now + Duration::from_secs(20);
        announcer.search(Asked { to_us_alone: true, ..ask(SERVER, None) }, &nic(1), later);
        assert_eq!(announcer.take(later).len(), 1);
        let mut answered = 0;
        for _ in 0..100 {
            announcer.search(Asked { to_us_alone: true, ..ask(SERVER, None) }, &nic(1), later);
            answered += announcer.take(later).len();
        }
        assert_eq!(answered, 19, "20 within a second");
        let other = SocketAddrV4::new(Ipv4Addr::new(10, 77, 1, 10), 5000);
        announcer.search(Asked { from: other, to_us_alone: true, ..ask(SERVER, None) }, &nic(1), later);
        assert_eq!(announcer.take(later).len(), 1, "somebody else");
        let strangers =
            [SocketAddrV4::new(Ipv4Addr::new(8, 8, 8, 8), 5000), SocketAddrV4::new(*other.ip(), 0)];
        for from in strangers {
            announcer.search(Asked { from, to_us_alone: true, ..ask(SERVER, None) }, &nic(1), later);
            assert_eq!(announcer.take(later).len(), 0, "{from}");
        }
        let at = later + Duration::from_secs(1);
        announcer.search(Asked { to_us_alone: true, ..ask(SERVER, None) }, &nic(1), at);
        assert_eq!(announcer.take(at).len(), 1, "a second later");
    }

    #[test]
    fn a_question_asked_three_times_is_answered_once_while_it_waits() {
        let now = Instant::now();
        let mut announcer = announcer(now);
        until(&mut announcer, now + Duration::from_secs(10));
        let now = now + Duration::from_secs(20);
        (0..3).for_each(|_| announcer.search(ask("ssdp:all", Some(3)), &nic(1), now));
        assert_eq!(until(&mut announcer, now + Duration::from_secs(5)).len(), 4);
    }

    #[test]
    fn a_flood_of_askers_costs_little() {
        let now = Instant::now();
        let mut announcer = announcer(now);
        for number in 0..100_000u32 {
            let from =
                SocketAddrV4::new(Ipv4Addr::from(0x0a4d_0100 + number % 200), (number % 60_000) as u16 + 1);
            announcer.search(Asked { from, ..ask("ssdp:all", Some(5)) }, &nic(1), now);
        }
        assert!(announcer.due.len() <= MOST_DUE && announcer.askers.len() <= MOST_ASKERS);
    }

    /// Reference upnp 1.5: each network by itself, with its own address.
    #[test]
    fn a_network_that_comes_is_told_and_the_others_are_not() {
        let now = Instant::now();
        let mut announcer = announcer(now);
        let first = until(&mut announcer, now + Duration::from_secs(10));
        let later = now + Duration::from_secs(20);
        announcer.join(&nic(2), later);
        let said = until(&mut announcer, later + Duration::from_secs(10));
        assert_eq!(said.len(), 16);
        assert!(said.iter().all(|(_, d)| d.interface == nic(2)));
        assert!(said[4].1.text.contains("LOCATION: http://10.77.2.1:8200/d.xml"));
        let boot = |text: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix("BOOTID.UPNP.ORG: "));
            line.and_then(|id| id.parse::<u32>().ok()).expect("a number")
        };
        assert!(boot(&said[0].1.text) > boot(&first[0].1.text), "it grows with each join");
        announcer.search(ask(SERVER, Some(5)), &nic(1), later);
        announcer.leave(&nic(1));
        assert_eq!(until(&mut announcer, later + Duration::from_secs(10)), [], "nothing to where we are not");
        assert_eq!(announcer.farewell().len(), 4, "on one network");
    }
}
