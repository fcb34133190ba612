//! A connection to the server while nothing sounds: one question, one answer, within a time.
//!
//! Rule: PulseAudio native protocol 13 to 35 (`PROTOCOL` of PulseAudio 16.1; the messages as the crate `pulseaudio` 0.3
//! documents them): a message is a descriptor of five big-endian words (length, channel, offset in two, flags) and its
//! bytes; the channel of a command is 0xffffffff. A client sends AUTH with its version and 256 bytes of cookie, then
//! SET_CLIENT_NAME.

use std::ffi::CString;
use std::fs;
use std::io::{Cursor, Error as IoError, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use pulseaudio::protocol::{
    AuthParams, AuthReply, Command, CommandReply, DESCRIPTOR_SIZE, MAX_MEMBLOCKQ_LENGTH, MAX_VERSION,
    MIN_VERSION, Prop, Props, ProtocolError, PulseError, SetClientNameReply, TagStructReader,
    encode_command_message, read_descriptor,
};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::error::{Error, Kind, Result};

/// A connection over which the server knows konpo.
pub struct Connection {
    socket: UnixStream,
    version: u16,
    serial: u32,
}

impl Connection {
    /// Reaches the server.
    ///
    /// # Errors
    /// `Unreachable` when none answers, `NotAllowed` when it refuses konpo.
    ///
    /// # Blocks
    /// Up to [`PATIENCE`] for each of three answers.
    pub fn open() -> Result<Connection> {
        let path = pulseaudio::socket_path_from_env()
            .ok_or_else(|| Error::new(Kind::Unreachable, "no sound server listens here"))?;
        let tried = || format!("reach the sound server at {}", path.display());
        let socket = connect(&path).map_err(|e| Error::with(Kind::Unreachable, tried(), e))?;
        Connection::greet(socket).map_err(|e| error(tried(), e))
    }

    fn greet(socket: UnixStream) -> Result<Connection, ProtocolError> {
        let mut connection = Connection { socket, version: MAX_VERSION, serial: 0 };
        let auth =
            AuthParams { version: MAX_VERSION, supports_shm: false, supports_memfd: false, cookie: cookie() };
        let reply: AuthReply = connection.ask(&Command::Auth(auth))?;
        if reply.version < MIN_VERSION {
            return Err(ProtocolError::UnsupportedVersion(reply.version));
        }
        connection.version = reply.version.min(MAX_VERSION);
        let mut props = Props::new();
        props.set(Prop::ApplicationName, c"konpo");
        if let Ok(id) = CString::new(std::process::id().to_string()) {
            props.set(Prop::ApplicationProcessId, id);
        }
        let _: SetClientNameReply = connection.ask(&Command::SetClientName(props))?;
        Ok(connection)
    }

    /// Asks and returns the answer. What else the server says before is passed over; what it says behind stays unread.
    ///
    /// # Errors
    /// `ServerError` when the server refuses, `Io` when it is gone or slow.
    ///
    /// # Blocks
    /// Up to [`PATIENCE`].
    pub fn ask<R: CommandReply>(&mut self, command: &Command) -> Result<R, ProtocolError> {
        let until = Instant::now() + PATIENCE;
        let serial = self.serial;
        self.serial += 1;
        let mut message = Vec::new();
        encode_command_message(&mut message, serial, command, self.version)?;
        self.socket.set_write_timeout(Some(PATIENCE))?;
        self.socket.write_all(&message)?;
        loop {
            let mut head = [0; DESCRIPTOR_SIZE];
            self.read(&mut head, until)?;
            let head = read_descriptor(&mut head.as_slice())?;
            let length = head.length as usize;
            if length > MAX_MEMBLOCKQ_LENGTH {
                return Err(ProtocolError::Invalid(format!("a message of {length} bytes")));
            }
            message.resize(length, 0);
            self.read(&mut message, until)?;
            if head.channel != u32::MAX {
                continue;
            }
            let mut body = Cursor::new(&message);
            match Command::read_tag_prefixed(&mut body, self.version) {
                Ok((of, Command::Reply)) if of == serial => {
                    return TagStructReader::new(&mut body, self.version).read();
                }
                Ok((of, Command::Error(error))) if of == serial => {
                    return Err(ProtocolError::ServerError(error));
                }
                // News of no stream, or a command that this version of the crate does not know.
                _ => {}
            }
        }
    }

    /// Returns the socket, which does not block any more, and the version that both ends speak.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn into_parts(self) -> Result<(UnixStream, u16), IoError> {
        self.socket.set_nonblocking(true)?;
        Ok((self.socket, self.version))
    }

    fn read(&mut self, mut to: &mut [u8], until: Instant) -> Result<(), IoError> {
        while !to.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.read(to) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => to = &mut to[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Connects in bounded time: to a server that takes nobody, `connect` would wait for ever without the time-out.
fn connect(path: &Path) -> Result<UnixStream, IoError> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(socket.into())
}

/// Returns the cookie; zeros where there is none, for a server that knows its user otherwise.
fn cookie() -> Vec<u8> {
    let found = pulseaudio::cookie_path_from_env().and_then(|path| fs::read(path).ok());
    found.filter(|cookie| cookie.len() == COOKIE).unwrap_or_else(|| vec![0; COOKIE])
}

/// Returns what the caller should do about an answer.
pub fn error(tried: String, error: ProtocolError) -> Error {
    let kind = match &error {
        ProtocolError::ServerError(PulseError::AccessDenied | PulseError::AuthKey) => Kind::NotAllowed,
        ProtocolError::ServerError(PulseError::Busy) => Kind::Busy,
        ProtocolError::ServerError(
            PulseError::Invalid
            | PulseError::NotSupported
            | PulseError::TooLarge
            | PulseError::NotImplemented,
        )
        | ProtocolError::UnsupportedVersion(_) => Kind::Unsupported,
        _ => Kind::Unreachable,
    };
    match error {
        // It prints what it holds, which the chain of sources would print once more.
        ProtocolError::Io(error) => Error::with(kind, tried, error),
        error => Error::with(kind, tried, error),
    }
}

/// How long an answer may take; a server that is started by its socket needs some of it.
const PATIENCE: Duration = Duration::from_secs(2);
const COOKIE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_said_once() {
        let check = |of: ProtocolError, kind: Kind, expected: &str| {
            let error = error("reach the sound server".to_owned(), of);
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, expected));
        };
        let late = IoError::from(ErrorKind::TimedOut);
        check(late.into(), Kind::Unreachable, "reach the sound server: timed out");
        let busy = ProtocolError::ServerError(PulseError::Busy);
        check(busy, Kind::Busy, "reach the sound server: server error: Busy");
    }
}
