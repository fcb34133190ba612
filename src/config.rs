//! TOML to one struct per module. Unknown keys are refused with file, line and key.

pub mod layers;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::offer::push::{OnArrival, Push};
use crate::units::calendar::{Days, TimeOfDay};
use crate::units::{ByteCount, Volume};

/// Everything the owner may set. `packaging/konpo.toml` documents every key with its default.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Shown on phones; `None`: "Stereo".
    pub name: Option<String>,
    /// The shelf.
    pub library: Library,
    /// The web page, the API and media.
    pub http: Http,
    /// The network.
    pub lan: Lan,
    /// The DAC.
    pub output: Output,
    /// The ways in.
    pub intake: Intake,
    /// The hours in which it is not loud.
    pub quiet: Quiet,
    /// The media server and the renderer.
    pub upnp: Upnp,
    /// Phones that send.
    pub localsend: LocalSend,
}

/// `[library]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Library {
    /// Music folders; the first is where new tracks go. Empty: the user's music folder.
    pub music: Vec<PathBuf>,
    /// What always stays free on a disk of music, megabytes of 10^6 bytes; `None`: max(2 GB, 2 % of the disk).
    pub keep_free_mb: Option<u32>,
}

impl Library {
    /// Returns what the owner wants to stay free.
    pub fn keep_free(&self) -> Option<ByteCount> {
        self.keep_free_mb.map(|megabytes| ByteCount(u64::from(megabytes) * 1_000_000))
    }
}

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// An explicit port never moves; 0 takes a free one; `None`: the one that worked, else 8200 to 8209.
    pub port: Option<u16>,
    /// Further host names under which the page may be asked for.
    pub names: Vec<String>,
    /// The page is at port 80 as well, where konpo may open it.
    pub port_80: bool,
}

impl Default for Http {
    fn default() -> Http {
        Http { port: None, names: Vec::new(), port_80: true }
    }
}

/// `[lan]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lan {
    /// Interfaces by name; empty: every usable one.
    pub interfaces: Vec<String>,
}

/// `[output]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// As `konpo outputs` prints it; `auto`; or `silent`, the paced output without hardware.
    pub device: String,
    /// Where the knob is.
    pub volume: Knob,
    /// What 100 on every face means, 1..=100.
    pub max_volume: Volume,
    /// How tracks are made equally loud; `None`: auto, and off where the amplifier has the knob.
    pub replaygain: Option<ReplayGain>,
    /// Where the volume is applied where konpo has the knob: `auto`, `software`, or an element of the card's mixer.
    pub mixer: String,
}

impl Default for Output {
    fn default() -> Output {
        Output {
            device: "auto".into(),
            volume: Knob::Box,
            max_volume: Volume::MAX,
            replaygain: None,
            mixer: "auto".into(),
        }
    }
}

/// Which gain of a file's tags makes it as loud as others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayGain {
    /// The album's between tracks of one album, else the track's.
    Auto,
    /// The track's.
    Track,
    /// The album's.
    Album,
    /// None.
    Off,
}

/// Where the volume knob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Knob {
    /// konpo has it.
    Box,
    /// The amplifier has it: full scale, bit-perfect.
    Fixed,
}

/// `[intake]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Intake {
    /// A phone or player that appears.
    pub pull: Pull,
    /// What is taken.
    pub take: Take,
    /// A sender that appears.
    pub push: Push,
    /// What happens to a song that was sent.
    pub on_arrival: OnArrival,
}

impl Default for Intake {
    fn default() -> Intake {
        Intake { pull: Pull::Ask, take: Take::Music, push: Push::Ask, on_arrival: OnArrival::PlayIfIdle }
    }
}

/// What happens when a phone or player appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    /// Everything new is taken from everybody: for boxes without visitors.
    Always,
    /// Only its description is read until somebody says more.
    Ask,
    /// Nothing is ever taken.
    Never,
}

/// Which files are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// All music.
    Music,
    /// Only files that carry a store's mark.
    Purchased,
}

/// `[localsend]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalSend {
    /// The port it listens on; 0 switches it off.
    pub port: u16,
}

impl Default for LocalSend {
    fn default() -> LocalSend {
        LocalSend { port: 53317 }
    }
}

/// `[upnp]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upnp {
    /// Whether apps and players of the network find the library and the renderer.
    pub enabled: bool,
    /// Whether apps may put music on as on a renderer.
    pub renderer: bool,
    /// What apps are told of its maker and model.
    pub product: String,
    /// Lumin's app finds the box as well.
    pub lumin_compat: bool,
}

impl Default for Upnp {
    fn default() -> Upnp {
        Upnp { enabled: true, renderer: true, product: "konpo".into(), lumin_compat: false }
    }
}

/// `[quiet]`. There are quiet hours when `from` and `to` are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quiet {
    /// When they begin, in the time of the box's own zone.
    pub from: Option<TimeOfDay>,
    /// When they end; before `from`, it is the next day's.
    pub to: Option<TimeOfDay>,
    /// The days on which they begin.
    pub days: Days,
    /// The highest the knob goes meanwhile, on the scale of every face.
    pub max_volume: Volume,
    /// What happens to sound that runs when they begin.
    pub action: QuietAction,
}

impl Default for Quiet {
    fn default() -> Quiet {
        let max_volume = Volume::new(20).unwrap_or(Volume::MIN);
        Quiet { from: None, to: None, days: Days::ALL, max_volume, action: QuietAction::Fade }
    }
}

/// What happens to sound that runs when quiet hours begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuietAction {
    /// It goes down to the limit in 60 s.
    Fade,
    /// The track is finished, then it stops.
    Stop,
}

impl Config {
    /// Returns the settings in `text`; `file` is named in errors.
    ///
    /// # Errors
    /// `Invalid` with file, line and key for anything that is not as documented.
    pub fn parse(text: &str, file: &str) -> Result<Config> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..start].iter().filter(|&&b| b == b'\n').count() + 1;
            Error::new(Kind::Invalid, format!("{file} line {line}: {}", error.message().trim()))
        })?;
        config.check().map_err(|what| Error::new(Kind::Invalid, format!("{file}: {what}")))?;
        Ok(config)
    }

    /// Returns the name shown on phones.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("Stereo")
    }

    fn check(&self) -> std::result::Result<(), String> {
        if self.output.max_volume == Volume::MIN {
            return Err("output.max_volume is 0, must be 1 to 100".into());
        }
        if let Some(name) = &self.name
            && (name.trim().is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control))
        {
            return Err(format!("name {name:?} must have 1 to {LONGEST_NAME} bytes of plain text"));
        }
        if let Some(path) = self.library.music.iter().find(|path| !path.is_absolute()) {
            return Err(format!("library.music {path:?} must be a full path that starts with /"));
        }
        if let Some(name) = self.http.names.iter().find(|name| !is_host_name(name)) {
            return Err(format!("http.names {name:?} is not a host name"));
        }
        let gained = self.output.replaygain.filter(|gain| *gain != ReplayGain::Off);
        if gained.is_some() && self.output.volume == Knob::Fixed {
            let words = "output.replaygain must be \"off\" with output.volume \"fixed\"";
            return Err(format!("{words}: there every sample is sent as it is"));
        }
        self.check_mixer()?;
        self.check_quiet()
    }

    fn check_mixer(&self) -> std::result::Result<(), String> {
        let mixer = self.output.mixer.as_str();
        if mixer.trim().is_empty() || mixer.contains(char::is_control) {
            let words = "must be \"auto\", \"software\" or an element as amixer names it";
            return Err(format!("output.mixer {mixer:?} {words}"));
        }
        if self.output.volume == Knob::Fixed && !matches!(mixer, "auto" | "software") {
            let words = "output.mixer must not be set with output.volume \"fixed\"";
            return Err(format!("{words}: there konpo leaves the card as it is"));
        }
        Ok(())
    }

    fn check_quiet(&self) -> std::result::Result<(), String> {
        let Quiet { from, to, action, .. } = self.quiet;
        if from.is_some() != to.is_some() {
            return Err("quiet.from and quiet.to must be set together".into());
        }
        if from.is_some() && from == to {
            return Err("quiet.from and quiet.to are the same; output.max_volume holds at all hours".into());
        }
        if from.is_some() && action == QuietAction::Fade && self.output.volume == Knob::Fixed {
            let words = "quiet.action must be \"stop\" with output.volume \"fixed\"";
            return Err(format!("{words}: konpo cannot turn your amplifier down"));
        }
        Ok(())
    }
}

/// Returns whether `name` can stand in a Host header: letters, digits, dots and hyphens, or an IPv4 address.
fn is_host_name(name: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    name.parse::<Ipv4Addr>().is_ok() || (name.len() <= 253 && name.split('.').all(label))
}

/// UPnP Device Architecture 1.0, 2.1: friendlyName should be shorter than 64 characters.
const LONGEST_NAME: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Config::parse(text, "konpo.toml").expect_err("refused").to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_file_and_line() {
        let text = "name = \"Bedroom\"\n[output]\ndevice = \"auto\"\nvolumme = \"box\"\n";
        let said = refusal(text);
        assert!(said.starts_with("konpo.toml line 4: unknown field `volumme`"), "{said}");
        assert!(refusal("[outputs]\n").starts_with("konpo.toml line 1: unknown field `outputs`"));
    }

    #[test]
    fn a_wrong_value_says_what_it_must_be() {
        assert!(refusal("[output]\nmax_volume = 101\n").contains("must be 0 to 100"));
        assert!(refusal("[output]\nmax_volume = 0\n").contains("must be 1 to 100"));
        assert!(refusal("[intake]\npull = \"sometimes\"\n").contains("`always`, `ask`, `never`"));
        assert!(refusal("[http]\nport = 70000\n").starts_with("konpo.toml line 2"));
        assert!(refusal("name = \"\"\n").contains("1 to 63 bytes"));
        assert!(refusal("[library]\nmusic = [\"Music\"]\n").contains("full path"));
        assert!(refusal("[http]\nnames = [\"a b\"]\n").contains("not a host name"));
        assert!(refusal("name = \n").starts_with("konpo.toml line 1"));
    }

    #[test]
    fn quiet_hours_that_cannot_be_kept_are_refused() {
        assert!(refusal("[quiet]\nfrom = \"22:00\"\n").contains("set together"));
        assert!(refusal("[quiet]\nfrom = \"22:00\"\nto = \"22:00\"\n").contains("the same"));
        assert!(refusal("[quiet]\nfrom = \"25:00\"\nto = \"07:00\"\n").starts_with("konpo.toml line 2"));
        assert!(refusal("[quiet]\ndays = \"weekdays\"\n").contains("mon-fri"));
        assert!(refusal("[quiet]\naction = \"whisper\"\n").contains("`fade` or `stop`"));
        let fixed = "[output]\nvolume = \"fixed\"\n[quiet]\nfrom = \"22:00\"\nto = \"07:00\"\n";
        assert!(refusal(fixed).contains("cannot turn your amplifier down"));
        let night = Config::parse(&format!("{fixed}action = \"stop\"\n"), "konpo.toml").expect("it can stop");
        assert_eq!((night.quiet.days, night.quiet.action), (Days::ALL, QuietAction::Stop));
    }

    #[test]
    fn a_gain_where_samples_are_sent_untouched_is_refused() {
        let fixed = "[output]\nvolume = \"fixed\"\n";
        for named in ["auto", "track", "album"] {
            let said = refusal(&format!("{fixed}replaygain = \"{named}\"\n"));
            assert!(said.contains("every sample is sent as it is"), "{said}");
        }
        let off = Config::parse(&format!("{fixed}replaygain = \"off\"\n"), "konpo.toml").expect("it is off");
        assert_eq!(off.output.replaygain, Some(ReplayGain::Off));
        assert!(refusal("[output]\nreplaygain = \"loud\"\n").contains("`auto`, `track`, `album`, `off`"));
    }

    #[test]
    fn a_mixer_that_could_not_be_used_is_refused() {
        assert!(refusal("[output]\nmixer = \"\"\n").contains("or an element as amixer names it"));
        assert!(refusal("[output]\nmixer = \"P\\u0000\"\n").contains("output.mixer"));
        let fixed = "[output]\nvolume = \"fixed\"\n";
        assert!(refusal(&format!("{fixed}mixer = \"PCM\"\n")).contains("leaves the card as it is"));
        assert!(Config::parse(&format!("{fixed}mixer = \"software\"\n"), "konpo.toml").is_ok());
    }

    #[test]
    fn the_defaults_suit_a_living_room() {
        let config = Config::parse("", "konpo.toml").expect("empty is fine");
        assert_eq!(config, Config::default());
        assert_eq!((config.intake.pull, config.output.volume), (Pull::Ask, Knob::Box));
        assert_eq!(config.name(), "Stereo");
    }
}
