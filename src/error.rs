//! One error type for the whole box: a kind for the caller's reaction, words for the person, the source for the log.

use std::fmt;

/// What the caller should do about an error. Every face maps it to its protocol's codes in one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request, file or setting is wrong; asking again does not help.
    Invalid,
    /// The thing asked for is not there.
    NotFound,
    /// The caller has not the right.
    NotAllowed,
    /// Something else is under way; ask again later.
    Busy,
    /// The disk has not the room.
    Full,
    /// The music disk is not there.
    Offline,
    /// A peer on the network does not answer or broke off; try again later.
    Unreachable,
    /// A file or message is broken; put it aside and go on.
    Damaged,
    /// Recognised, but konpo cannot do this.
    Unsupported,
    /// konpo is stopping.
    Stopped,
    /// The machine failed (disk, memory, sound device) or konpo has a bug; see the log.
    Internal,
}

/// An error: what was tried, on what, and why it did not work.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    what: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of anything that can fail in konpo.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Returns an error without a source. `what` is lower case, says what was tried on what, no full stop.
    pub fn new(kind: Kind, what: impl Into<String>) -> Error {
        Error { kind, what: what.into(), source: None }
    }

    /// Returns an error that keeps its source.
    pub fn with(
        kind: Kind,
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error { kind, what: what.into(), source: Some(source.into()) }
    }

    /// Returns an error of a file operation; the kind follows from the system's code.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Error {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::NotFound => Kind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Kind::NotAllowed,
            Io::StorageFull | Io::QuotaExceeded => Kind::Full,
            Io::TimedOut | Io::ConnectionRefused | Io::ConnectionReset | Io::ConnectionAborted => {
                Kind::Unreachable
            }
            Io::HostUnreachable | Io::NetworkUnreachable | Io::BrokenPipe => Kind::Unreachable,
            Io::UnexpectedEof | Io::InvalidData => Kind::Damaged,
            _ => Kind::Internal,
        };
        Error::with(kind, what, source)
    }

    /// Returns what the caller should do.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the words without the sources.
    pub fn what(&self) -> &str {
        &self.what
    }
}

/// Prints the words and, after a colon each, the chain of sources.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let mut source = std::error::Error::source(self);
        while let Some(inner) = source {
            write!(f, ": {inner}")?;
            // A konpo error already prints its own chain.
            if inner.is::<Error>() {
                break;
            }
            source = inner.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_chain_is_printed_once() {
        let io = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        let inner = Error::io("open a.flac", io);
        assert_eq!(inner.kind(), Kind::NotFound);
        let outer = Error::with(Kind::Damaged, "play a.flac", inner);
        assert_eq!(outer.to_string(), "play a.flac: open a.flac: no such file");
    }
}
