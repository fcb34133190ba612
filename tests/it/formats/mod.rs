//! What a listener hears of any file: the very frames that were encoded, no more and no fewer, from the first to the last.
//! The files are made here by the encoders themselves, from tones; a missing encoder is a failure that names its package.

mod alac;
mod by_ffmpeg;
mod gapless;
mod hostile;
mod seek;
pub mod sounds;
mod wounds;
