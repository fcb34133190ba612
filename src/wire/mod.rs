//! Messages to bytes and back. Pure: no socket, no clock. Shared by `lan`, `beam` and `upnp`.

pub mod didl;
pub mod ssdp;
