//! What holds the parts together, without network, sound card or other programs.

mod api;
mod arrows;
mod callback_alloc;
mod settings;
