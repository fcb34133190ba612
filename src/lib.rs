//! konpo: a headless daemon that turns a small Linux box with a disk and a DAC into a hi-fi component.
//!
//! # The code map
//! Ground, plain data without I/O: [`units`], [`error`], [`track`], [`query`], [`offer`], [`signal`].
//! Then, in the order of a track's way through the box.
//!
//! # Arrows
//! `tests/it/arrows.rs` reads `src/` and holds every `crate::name` against the table there.

pub mod config;
pub mod error;
pub mod identity;
pub mod offer;
pub mod query;
pub mod signal;
pub mod track;
pub mod units;

pub mod media;

pub mod player;

pub mod hifi;
