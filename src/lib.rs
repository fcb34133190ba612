//! konpo: a headless daemon that turns a small Linux box with a disk and a DAC into a hi-fi component.
//!
//! # The code map
//! Ground, plain data without I/O: [`units`], [`error`], [`track`], [`query`], [`offer`], [`signal`],
//! [`words`] (what the box says to people, in two languages).
//! Around it: [`config`] and [`cli`] say what is wanted, [`identity`] who this box is.
//!
//! Then, in the order of a track's way through the box:
//! - [`wire`]: messages to bytes and back, pure. [`lan`]: interfaces, who was heard, names. [`http`]: server and client.
//! - [`media`]: bytes to facts and PCM; `sniff` is the gate in front of every decoder and tag reader.
//! - [`library`]: the shelf, a disk and SQLite. [`intake`]: the one door for bytes, from a stream to a shelf row; `door` in it
//!   decides about senders: who may, who is asked for, what lands, what is taken back.
//! - [`beam`]: who is there, what do they offer, fetch it (`content_directory`, and `sharing` what a
//!   phone gives out by a link) or take what they push (`localsend`).
//! - [`send`]: music back out, to phones and computers with LocalSend; who is there is told by [`beam`], who may by [`intake`].
//! - [`stream`]: a URL to sound: ranges, live streams, breaks. [`player`]: the motor, file to DAC. [`hifi`]: the box; one `Command` goes in, one `State` comes out.
//! - [`upnp`]: root devices for apps, players and televisions: the shelf as a media server, the deck, the queue and the knob as
//!   a renderer for UPnP AV and OpenHome.
//! - [`settings`]: what the owner sets while the box runs, applied at once and kept.
//! - [`web`]: the HTTP API, a remote control without music state of its own, and the page that is built on it (`assets`);
//!   `web::upload` hands files that phones send to [`intake::door`].
//! - [`run`] screws it together; [`seams`] and [`ctl`] are the command line's ways in.
//!
//! # Arrows
//! Data flows one way; a face never touches the shelf or the motor. `tests/it/arrows.rs` reads `src/` and holds every
//! `crate::name` against the table there.
//!
//! # Invariants
//! No face holds music state beyond the last `State` it told its clients. `hifi::rules` does no I/O and takes `now` as an
//! argument. `Command` is the only way to change what is heard. The sound callback never touches the heap. A track row
//! implies a synced file. Only `main` ends the process. Every channel is bounded, every parser has a limit. Nothing is ever
//! deleted because it is absent. No received file is ever rewritten. No protected file reaches a decoder.

// What prints is `seams::print`: println! ends the program with a trace where nobody reads.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod error;
pub mod offer;
pub mod query;
pub mod signal;
pub mod track;
pub mod units;
pub mod words;

pub mod cli;
pub mod config;
pub mod identity;

pub mod wire;

pub mod http;
pub mod lan;

pub mod media;

pub mod library;

pub mod intake;

pub mod beam;

pub mod send;

pub mod stream;

pub mod player;

pub mod hifi;

pub mod settings;

pub mod upnp;

pub mod web;

pub mod ctl;
mod ctl_text;
pub mod run;
pub mod seams;

#[cfg(test)]
#[path = "../tests/support/mint.rs"]
mod mint;

#[cfg(test)]
#[path = "../tests/support/hostile_names.rs"]
mod hostile_names;
