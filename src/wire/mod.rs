//! Messages to bytes and back. Pure: no socket, no clock. Shared by `lan`, `beam`, `send`, `upnp` and `web`.

pub mod description;
pub mod didl;
pub mod didl_writer;
pub mod gena;
pub mod last_change;
pub mod localsend;
pub mod media_type;
pub mod multipart;
pub mod query;
pub mod soap;
pub mod ssdp;
pub mod strict;
pub mod tus;
pub mod xml;
pub mod zip;
