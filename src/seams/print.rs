//! Standard output, as commands write to it. `println!` would end the program with a trace where nobody reads.

use std::fmt::Display;
use std::io::{ErrorKind, Result as IoResult, Write, stdout};

use crate::error::{Error, Result};

/// Standard output. A reader that went away (`konpo probe … | head`) is no error: it has read enough, and the command goes on
/// to its end without it.
pub struct Out;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        read_or_not(stdout().write(bytes), bytes.len())
    }

    fn flush(&mut self) -> IoResult<()> {
        read_or_not(stdout().flush(), ())
    }
}

fn read_or_not<T>(done: IoResult<T>, unread: T) -> IoResult<T> {
    match done {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(unread),
        done => done,
    }
}

/// Prints a line.
///
/// # Errors
/// Those of what standard output leads to, such as a full disk.
pub fn line(text: impl Display) -> Result<()> {
    writeln!(Out, "{text}").map_err(|error| Error::io("print", error))
}
