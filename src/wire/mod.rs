//! Messages to bytes and back. Pure: no socket, no clock. Shared by `lan`, `beam`, `upnp` and `web`.

pub mod description;
pub mod didl;
pub mod didl_writer;
pub mod gena;
pub mod last_change;
pub mod multipart;
pub mod soap;
pub mod ssdp;
pub mod strict;
pub mod tus;
pub mod xml;
pub mod zip;
