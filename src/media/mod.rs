//! Bytes to facts and PCM. Works on an opened [`sound::Sound`]; knows no path, no network, no SQL.

pub mod archive;
pub mod blank;
pub mod decode;
pub mod fingerprint;
pub mod itunes_xml;
pub mod loudness;
pub mod mojibake;
pub mod picture;
pub mod playlist;
pub mod plist;
pub mod purchase;
pub mod raw;
pub mod sniff;
pub mod sound;
pub mod tags;
pub mod text;
