//! konpo among real programs: minidlna as the phone, a PulseAudio null sink as the DAC, Avahi beside it. Every network is
//! a set of namespaces of the test's own; a program that is missing is a failure. Needs root: `tests/run.sh` prepares it.

mod support;

#[path = "../support/mint.rs"]
#[allow(dead_code)]
mod mint;
#[path = "../it/formats/sounds.rs"]
#[allow(dead_code)]
mod sounds;
#[path = "../it/formats/wounds.rs"]
#[allow(dead_code)]
mod wounds;

mod adopted;
mod cancels;
mod cut;
mod daemon;
mod demo;
mod discovery;
mod disk;
mod exact;
mod hostile;
mod interfaces;
mod killed;
mod localsend;
mod loud;
mod moments;
mod names;
mod night;
mod outputs;
mod page;
mod phones;
mod ports;
mod pull;
mod purchased;
mod readers;
mod refused;
mod rotten;
mod send;
mod servers;
mod service;
mod shared;
mod siege;
mod six;
mod soak;
mod sound;
mod sound_server;
mod survive;
mod uploads;
mod upnp;
mod urls;
