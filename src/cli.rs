//! The command line: what can be asked for, and where things lie when nothing is said.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config::Config;
use crate::config::layers::Layers;
use crate::ctl;
use crate::error::{Error, Kind, Result};

/// A hi-fi component: takes in the music of the phones around it and plays it.
#[derive(Debug, Parser)]
#[command(name = "konpo", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Be the component
    Serve(Serve),
    /// Say what files are
    Probe {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Show who bought them too: names, e-mail addresses, account and transaction numbers
        #[arg(long)]
        personal: bool,
    },
    /// Play files, one after the other without a gap
    Play {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// An output as `konpo outputs` prints it
        #[arg(long, default_value = "auto")]
        output: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the sound outputs
    Outputs {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the phones and players on the network, and why one cannot be used
    Neighbours {
        /// How long to listen
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Only these interfaces
        #[arg(long)]
        interface: Vec<String>,
        /// Also read a device at this address
        #[arg(long)]
        address: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare the disk with the database; the daemon must be stopped
    Check {
        /// Mend what can be mended
        #[arg(long, conflicts_with_all = ["rebuild", "roll_back"])]
        repair: bool,
        /// Make the database anew from the disk and its history
        #[arg(long, conflicts_with = "roll_back")]
        rebuild: bool,
        /// Take the newest backup of the database; what arrived since is told again by the history beside the music
        #[arg(long)]
        roll_back: bool,
        /// Where things lie
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write music and what konpo knows of it into a folder, as it came; the daemon may run
    Export {
        /// What goes out
        #[command(flatten)]
        out: Box<TakeOut>,
        /// The folder
        folder: PathBuf,
        /// Where things lie
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask the running component
    Ctl {
        /// Its folder of data
        #[arg(long)]
        data: Option<PathBuf>,
        /// Its control socket
        #[arg(long, conflicts_with = "url")]
        socket: Option<PathBuf>,
        /// Its page
        #[arg(long)]
        url: Option<String>,
        /// A token of `konpo ctl token`
        #[arg(long, requires = "url")]
        token: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// What to ask
        #[command(subcommand)]
        ask: ctl::Ask,
    },
}

/// What `konpo export` takes out.
#[derive(Debug, Clone, Default, Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(false)))]
pub struct TakeOut {
    /// An album, by its name or its number
    #[arg(long, group = "what")]
    pub album: Option<String>,
    /// A playlist, by its name or its number
    #[arg(long, group = "what")]
    pub playlist: Option<String>,
    /// A track, by its number; may be given several times
    #[arg(long, group = "what")]
    pub track: Vec<i64>,
    /// What was bought
    #[arg(long, group = "what")]
    pub purchases: bool,
    /// Every file and every playlist
    #[arg(long, group = "what")]
    pub all: bool,
    /// With purchases.json: what proves the buys, and who bought
    #[arg(long)]
    pub receipts: bool,
    /// With tables of purchases, history, favourites and corrections, to leave konpo for another system
    #[arg(long, requires = "all", conflicts_with_all = ["album", "playlist", "track", "purchases"])]
    pub leave: bool,
}

/// Where things lie.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// The settings
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// The music folder
    #[arg(long)]
    pub music: Option<PathBuf>,
    /// The folder of data
    #[arg(long)]
    pub data: Option<PathBuf>,
}

/// `konpo serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct Serve {
    /// Where things lie
    #[command(flatten)]
    pub place: Place,
    /// The name shown on phones
    #[arg(long)]
    pub name: Option<String>,
    /// The port of the page; 0 takes a free one
    #[arg(long)]
    pub port: Option<u16>,
    /// An output as `konpo outputs` prints it
    #[arg(long)]
    pub output: Option<String>,
}

/// Settings and places, all decided.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The settings, the command line's included.
    pub config: Config,
    /// Where they come from.
    pub layers: Layers,
    /// What the owner should know of them.
    pub complaint: Option<String>,
    /// Music folders, the first is where new tracks go.
    pub music: Vec<PathBuf>,
    /// The folder of data.
    pub data: PathBuf,
}

impl Place {
    /// Decides where things lie: the command line, else the settings, else the system's habits.
    ///
    /// # Errors
    /// `Invalid` when the settings are wrong or no folder can be found.
    pub fn settle(&self) -> Result<Settled> {
        let layers = match self.config.clone().or_else(usual_config) {
            Some(path) => Layers::read(&path)?,
            None => Layers::default(),
        };
        let config = layers.config()?;
        let music = match (&self.music, config.library.music.is_empty()) {
            (Some(music), _) => vec![full(music)?],
            (None, false) => config.library.music.clone(),
            (None, true) => vec![usual_music()?],
        };
        let data = match &self.data {
            Some(data) => full(data)?,
            None => usual_data()?,
        };
        Ok(Settled { config, layers, complaint: None, music, data })
    }
}

impl Serve {
    /// Decides everything: as [`Place::settle`], with name, port and output of the command line, and what the page set.
    ///
    /// # Errors
    /// As [`Place::settle`].
    pub fn settle(&self) -> Result<Settled> {
        let mut settled = self.place.settle()?;
        let layers = &mut settled.layers;
        if let Some(name) = &self.name {
            layers.command("name", name.as_str());
        }
        if let Some(port) = self.port {
            layers.command("http.port", i64::from(port));
        }
        if let Some(output) = &self.output {
            layers.command("output.device", output.as_str());
        }
        layers.config()?;
        settled.complaint = layers.lay_page(&settled.data)?;
        settled.config = layers.config()?;
        Ok(settled)
    }
}

/// Returns the folder of data when nothing is said: `$STATE_DIRECTORY`, `$XDG_DATA_HOME/konpo`, `~/.local/share/konpo`.
///
/// # Errors
/// `Invalid` without any of them.
pub fn usual_data() -> Result<PathBuf> {
    if let Some(list) = variable("STATE_DIRECTORY") {
        return Ok(PathBuf::from(list.split(':').next().unwrap_or_default()));
    }
    if let Some(data) = variable("XDG_DATA_HOME") {
        return Ok(Path::new(&data).join("konpo"));
    }
    Ok(home("--data")?.join(".local/share/konpo"))
}

/// The music folder when nothing is said: `/srv/music` for the service, else what xdg-user-dirs says, else `~/Music`.
fn usual_music() -> Result<PathBuf> {
    if variable("STATE_DIRECTORY").is_some() {
        return Ok(PathBuf::from("/srv/music"));
    }
    let home = home("--music")?;
    let config = variable("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
    let dirs = std::fs::read_to_string(config.join("user-dirs.dirs")).unwrap_or_default();
    Ok(music_of_user_dirs(&dirs, &home).unwrap_or_else(|| home.join("Music")))
}

/// Reads `XDG_MUSIC_DIR="$HOME/…"` (xdg-user-dirs, user-dirs.dirs).
fn music_of_user_dirs(text: &str, home: &Path) -> Option<PathBuf> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("XDG_MUSIC_DIR="))?;
    let value = value.trim().trim_matches('"');
    let path = match value.strip_prefix("$HOME") {
        Some(rest) => home.join(rest.trim_start_matches('/')),
        None => PathBuf::from(value),
    };
    // The home folder itself means that the folder is switched off.
    (path.is_absolute() && path != home).then_some(path)
}

fn usual_config() -> Option<PathBuf> {
    let own = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let own = own.or_else(|| Some(home("--config").ok()?.join(".config")));
    let own = own.map(|config| config.join("konpo/konpo.toml"));
    let service = variable("STATE_DIRECTORY").is_some();
    let system = PathBuf::from("/etc/konpo/konpo.toml");
    let places = if service { [Some(system), None] } else { [own, Some(system)] };
    places.into_iter().flatten().find(|path| path.exists())
}

fn home(option: &str) -> Result<PathBuf> {
    let home = variable("HOME").map(PathBuf::from);
    home.ok_or_else(|| Error::new(Kind::Invalid, format!("HOME is not set: say where with {option}")))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn full(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Error::io(format!("find {}", path.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn an_export_takes_out_one_thing() {
        let parse = |line: &str| Cli::try_parse_from(["konpo", "export"].into_iter().chain(line.split(' ')));
        for fine in
            ["--all --leave /x", "--album A --receipts /x", "--track 3 --track 4 /x", "--purchases /x"]
        {
            assert!(parse(fine).is_ok(), "{fine}");
        }
        for wrong in ["/x", "--all --purchases /x", "--album A --leave /x", "--all"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_check_does_one_thing() {
        let parse = |switches: &[&str]| Cli::try_parse_from(["konpo", "check"].iter().chain(switches));
        for alone in ["--repair", "--rebuild", "--roll-back"] {
            assert!(parse(&[alone]).is_ok(), "{alone}");
        }
        for both in [["--repair", "--rebuild"], ["--repair", "--roll-back"], ["--rebuild", "--roll-back"]] {
            assert!(parse(&both).is_err(), "{both:?}");
        }
    }

    #[test]
    fn the_users_music_folder_is_found() {
        let home = Path::new("/home/yuki");
        let music = |text| music_of_user_dirs(text, home);
        assert_eq!(music("XDG_MUSIC_DIR=\"$HOME/音楽\"\n"), Some(home.join("音楽")));
        assert_eq!(music("# x\nXDG_MUSIC_DIR=\"/mnt/m\""), Some("/mnt/m".into()));
        assert_eq!(music("XDG_MUSIC_DIR=\"$HOME/\""), None);
        assert_eq!(music("XDG_DESKTOP_DIR=\"$HOME/x\""), None);
    }
}
