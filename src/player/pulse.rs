//! A sound server that speaks PulseAudio's native protocol: PulseAudio, or PipeWire's `pipewire-pulse`. Found by
//! `PULSE_SERVER` (a Unix socket), `PULSE_RUNTIME_PATH` and `XDG_RUNTIME_DIR`, and asked with the cookie of `PULSE_COOKIE`
//! or of the home.
//!
//! The crate `pulseaudio` gives the form of the messages, nothing else: its own client clears 1 MiB of memory twice for
//! each of them. A stream has a connection and a [thread](pump) of its own; the server converts what its sink does not take.

#[cfg(feature = "pulseaudio")]
mod place;
#[cfg(feature = "pulseaudio")]
pub mod pump;
#[cfg(feature = "pulseaudio")]
mod sink;
#[cfg(feature = "pulseaudio")]
mod wire;

use crate::error::Result;
use crate::player::output::Output;

/// Whether a sound server may listen where its environment says.
pub fn reachable() -> bool {
    #[cfg(feature = "pulseaudio")]
    return pulseaudio::socket_path_from_env().is_some();
    #[cfg(not(feature = "pulseaudio"))]
    return false;
}

/// Returns name and description of every sink of the server, its default first; none when no server answers.
pub fn sinks() -> Vec<(String, String)> {
    #[cfg(feature = "pulseaudio")]
    return sink::all();
    #[cfg(not(feature = "pulseaudio"))]
    return Vec::new();
}

/// Returns the sink of this name, without [`PULSE`]; the server's default for `None`.
///
/// # Errors
/// `Unreachable` when no server answers or it has no such sink, `NotAllowed` when it refuses konpo, `Unsupported` when
/// konpo is built without sound servers.
pub fn sink(name: Option<&str>) -> Result<Box<dyn Output>> {
    #[cfg(feature = "pulseaudio")]
    return Ok(Box::new(sink::Sink::find(name)?));
    #[cfg(not(feature = "pulseaudio"))]
    return Err(crate::error::Error::new(
        crate::error::Kind::Unsupported,
        format!("this konpo is built without sound servers: {}", name.unwrap_or("the default")),
    ));
}

/// The prefix of a sound server's names.
pub const PULSE: &str = "pulseaudio:";
