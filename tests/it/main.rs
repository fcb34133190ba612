//! What holds the parts together, without network, sound card or other programs.

mod api;
mod arrows;
mod art;
mod callback_alloc;
mod counted;
mod export;
mod formats;
mod hostile_names;
mod itunes;
mod itunes_stranger;
mod locked;
mod loudness;
mod marks;
mod media_server;
#[path = "../support/mint.rs"]
#[allow(dead_code)]
mod mint;
mod openhome;
mod page;
mod pairing;
mod printed;
mod quiet;
mod renderer;
mod rights;
mod saved;
mod send;
mod settings;
mod stories;
mod stories_leave;
mod tags;
mod uploads;
mod url_files;
mod urls;
mod words;
