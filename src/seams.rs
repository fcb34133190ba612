//! One seam from the shell each: `konpo probe`, `play`, `outputs`, `neighbours`, `check`, `export`.

pub mod export;
pub mod print;
pub mod probe;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::beam;
use crate::cli::Settled;
use crate::error::{Error, Kind, Result};
use crate::lan::mdns::Name;
use crate::lan::{Lan, LanConfig};
use crate::library::LibraryConfig;
use crate::library::backup::roll_back::{RolledBack, Skipped, roll_back};
use crate::library::check::{self, Repair};
use crate::library::rebuild;
use crate::player::seam;
use crate::units::UnixTime;

/// Plays files one after the other. Returns whether all of them sounded.
///
/// # Errors
/// Those of the output.
/// # Blocks
/// As long as the files last.
pub fn play(files: &[PathBuf], output: &str, as_json: bool) -> Result<bool> {
    seam::play_files(files, output, as_json, &mut print::Out)?;
    Ok(true)
}

/// Lists the sound outputs.
///
/// # Errors
/// Those of printing: an output that cannot be asked is left out.
pub fn outputs(as_json: bool) -> Result<()> {
    for output in seam::list_outputs() {
        if as_json {
            print::line(json!(output))?;
            continue;
        }
        let mark = if output.chosen { "*" } else { " " };
        let holder = output.holder.map_or(String::new(), |holder| format!(" (held by {holder})"));
        print::line(format_args!("{mark} {}\n      {}{holder}", output.name, output.description))?;
    }
    Ok(())
}

/// Lists who is on the network, without a daemon: media servers, then konpos that announce their page by name.
///
/// # Errors
/// Those of the sockets.
pub async fn neighbours(
    listen: Duration,
    interfaces: Vec<String>,
    addresses: Vec<String>,
    as_json: bool,
) -> Result<()> {
    let stop = CancellationToken::new();
    let config = LanConfig {
        interfaces,
        http_port: 0,
        name: tokio::sync::watch::channel("konpo".into()).1,
        own_udns: Vec::new(),
    };
    let lan = Lan::listen(config, stop.clone()).await?;
    let found = beam::read_neighbours(&lan, &addresses, listen).await;
    let named = lan.names().borrow().clone();
    stop.cancel();
    lan.stopped().await;
    for neighbour in found {
        if as_json {
            print::line(json!(neighbour))?;
        } else {
            print::line(crate::ctl_text::neighbour(&json!(neighbour)))?;
        }
    }
    if !named.is_empty() && !as_json {
        print::line("also heard by name:")?;
    }
    for name in named.iter() {
        let konpo = named_konpo(name);
        print::line(if as_json { konpo.to_string() } else { crate::ctl_text::named(&konpo) })?;
    }
    Ok(())
}

fn named_konpo(name: &Name) -> Value {
    json!({
        "kind": "konpo",
        "name": name.instance,
        "url": format!("http://{}:{}/", name.host, name.port),
        "addresses": name.addresses,
        "version": name.version,
    })
}

/// What `konpo check` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Only look.
    Look,
    /// Mend what can be mended.
    Repair,
    /// Make the database anew.
    Rebuild,
    /// Take the newest backup.
    RollBack,
}

impl Check {
    /// Returns what the switches of the command line mean, of which at most one is set.
    pub fn of(repair: bool, rebuild: bool, roll_back: bool) -> Check {
        match (repair, rebuild, roll_back) {
            (_, _, true) => Check::RollBack,
            (_, true, _) => Check::Rebuild,
            (true, _, _) => Check::Repair,
            (false, false, false) => Check::Look,
        }
    }
}

/// Compares the disk with the database and prints what is wrong, or rolls back and prints what was done. Returns whether
/// nothing is wrong.
///
/// # Errors
/// `Busy` while a daemon holds the shelf, `NotFound` when there is no backup, and those of the disk.
pub fn check(settled: &Settled, how: Check, as_json: bool) -> Result<bool> {
    let config = LibraryConfig {
        music: settled.music.clone(),
        data: settled.data.clone(),
        keep_free: settled.config.library.keep_free(),
    };
    let report = match how {
        Check::Look => check::check(&config, Repair::No)?,
        Check::Repair => check::check(&config, Repair::Yes)?,
        Check::Rebuild => rebuild::rebuild(&config)?,
        Check::RollBack => return rolled_back(&roll_back(&config, UnixTime::now())?, as_json),
    };
    if as_json {
        print::line(to_json(&report)?)?;
    } else {
        print::line(format_args!("{} tracks, {} files", report.tracks, report.copies))?;
        for problem in &report.problems {
            print::line(problem)?;
        }
        for lost in &report.lost {
            print::line(format_args!("not brought over from the old database: {lost}"))?;
        }
        if report.problems.is_empty() {
            print::line("nothing is wrong")?;
        }
    }
    Ok(report.problems.is_empty())
}

/// Prints what rolling back did. Returns whether the history told what happened since the backup.
fn rolled_back(done: &RolledBack, as_json: bool) -> Result<bool> {
    if as_json {
        print::line(to_json(done)?)?;
        return Ok(done.untold.is_none());
    }
    print::line(format_args!(
        "the database is that of {} again: {}",
        done.made.rfc3339(),
        done.backup.display()
    ))?;
    for Skipped { backup, why } in &done.skipped {
        print::line(format_args!("not used: {}: {why}", backup.display()))?;
    }
    match &done.untold {
        None => {
            print::line(format_args!("{} arrivals since then were told again by the history", done.told))?
        }
        Some(why) => print::line(format_args!(
            "what arrived since is not on the shelf: {why}\n`konpo check --rebuild` reads it from the history later"
        ))?,
    }
    if let Some(aside) = &done.aside {
        print::line(format_args!("the database that was there is kept: {}", aside.display()))?;
    }
    Ok(done.untold.is_none())
}

fn to_json(report: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(report).map_err(|error| Error::with(Kind::Internal, "write the report", error))
}
