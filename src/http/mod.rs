//! hyper server and client shared by all: limits, Host check, byte ranges, problem details; one client with one rule for
//! where a URL may point. Knows nothing of music.

pub mod bodies;
pub mod client;
pub mod coming;
mod crowd;
pub mod door;
mod first_line;
pub mod hosts;
mod linger;
pub mod near;
pub mod overlay;
pub mod own_tls;
mod patient;
pub mod port;
pub mod problem;
pub mod range;
pub mod server;
mod tls;
pub mod written;
pub mod zip;
