//! Bytes to facts and PCM. Works on an opened [`sound::Sound`]; knows no path, no network, no SQL.

pub mod sound;
pub mod text;
