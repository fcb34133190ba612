//! The box: one `Command` goes in, one `State` comes out. The one API of all faces.

pub mod command;
mod queue;
mod rules;
pub mod state;
mod volume;
