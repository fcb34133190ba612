//! A disk that takes its time: a file system of a few WAV files that a thread of the test answers for, as slowly as told,
//! or not at all. It can only be read.
//! Rule: the FUSE protocol 7.31 as linux/fuse.h (uapi) has it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::fcntl::OFlag;

use super::process::run;

/// The disk, mounted in the test's own view; a program that starts later has it, too. Dropped, it is gone for everybody:
/// who waits for it gets an error.
pub struct SlowDisk {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    files: Vec<Vec<u8>>,
    /// Milliseconds before each answer.
    delay: AtomicU64,
    asked: AtomicU64,
    hangs: AtomicBool,
    ends: AtomicBool,
}

impl SlowDisk {
    /// Mounts these files, called 0.wav, 1.wav, …, on the folder `path`. It is quick at first.
    pub fn mount(path: &Path, files: Vec<Vec<u8>>) -> SlowDisk {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open("/dev/fuse")
            .expect("a kernel with FUSE");
        let shared = Shared {
            files,
            delay: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            hangs: AtomicBool::new(false),
            ends: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        let (serves, stdin) = (shared.clone(), device.try_clone().expect("a second handle"));
        let thread = std::thread::spawn(move || serve(&serves, device));
        let disk = SlowDisk { path: path.to_owned(), shared, thread: Some(thread) };
        let mut command = Command::new("mount");
        let options = "ro,fd=0,rootmode=40000,user_id=0,group_id=0,allow_other";
        command.args(["-i", "-t", "fuse", "-o", options, "slow"]).arg(path).stdin(stdin);
        run(command);
        disk
    }

    /// Waits so long before each answer from now on.
    pub fn answer_after(&self, delay: Duration) {
        self.shared.delay.store(u64::try_from(delay.as_millis()).expect("short"), Ordering::Relaxed);
    }

    /// Answers nobody any more, or everybody who waits.
    pub fn hang(&self, hangs: bool) {
        self.shared.hangs.store(hangs, Ordering::Relaxed);
    }

    /// Returns how many questions came.
    pub fn asked(&self) -> u64 {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        let _ended = self.thread.take().map(JoinHandle::join);
        let _gone = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}

/// Answers until the end. With the device its mounts fail.
fn serve(shared: &Shared, mut device: File) {
    let mut question = vec![0; 1 << 20];
    while !shared.ends.load(Ordering::Relaxed) {
        let length = match device.read(&mut question) {
            Ok(length) => length,
            // Nothing to do yet; before the mount it is EPERM, and ENOENT is a question that was taken back.
            Err(error)
                if error.kind() != ErrorKind::Interrupted && error.raw_os_error() != Some(libc::ENODEV) =>
            {
                std::thread::sleep(Duration::from_micros(500));
                continue;
            }
            Err(_) => return,
        };
        let Some(answer) = answer(shared, &question[..length]) else { continue };
        shared.asked.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(shared.delay.load(Ordering::Relaxed)));
        while shared.hangs.load(Ordering::Relaxed) && !shared.ends.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let (error, body) = answer.map_or_else(|errno| (-errno, Vec::new()), |body| (0, body));
        let mut reply = u32::try_from(body.len() + 16).expect("small").to_ne_bytes().to_vec();
        reply.extend_from_slice(&error.to_ne_bytes());
        reply.extend_from_slice(&question[8..16]);
        reply.extend_from_slice(&body);
        // One that was taken back meanwhile needs no answer.
        let _unless_taken_back = device.write(&reply);
    }
}

/// Returns the body of an answer, or an errno; `None` where none is expected.
fn answer(shared: &Shared, question: &[u8]) -> Option<Result<Vec<u8>, i32>> {
    let number = |at: usize, bytes: usize| {
        question[at..at + bytes].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    };
    let (operation, node) = (number(4, 4), number(16, 8));
    let file =
        |node: u64| usize::try_from(node.checked_sub(2)?).ok().and_then(|index| shared.files.get(index));
    let body = match operation {
        FORGET | INTERRUPT | BATCH_FORGET => return None,
        INIT => init(number(48, 4)),
        LOOKUP => {
            let name = question[HEAD..].split(|&byte| byte == 0).next().unwrap_or_default();
            let index = std::str::from_utf8(name)
                .ok()?
                .strip_suffix(".wav")
                .and_then(|stem| stem.parse::<u64>().ok());
            match index.and_then(|index| Some((index + 2, file(index + 2)?))) {
                None => return Some(Err(libc::ENOENT)),
                // Node, generation; valid for 0 s: every look asks again.
                Some((node, file)) => {
                    [&longs(&[node, 1, 0, 0, 0])[..], &attributes(node, Some(file))].concat()
                }
            }
        }
        GETATTR => [&longs(&[0, 0])[..], &attributes(node, file(node))].concat(),
        // A handle, flags.
        OPEN | OPENDIR => longs(&[0, 0]),
        READ | READDIR => {
            let (offset, size) = (number(HEAD + 8, 8), number(HEAD + 16, 4) as usize);
            match file(node) {
                Some(file) => {
                    let from = usize::try_from(offset).map_or(file.len(), |offset| offset.min(file.len()));
                    file[from..file.len().min(from + size)].to_vec()
                }
                None => names(shared.files.len() as u64, offset, size),
            }
        }
        RELEASE | RELEASEDIR | FLUSH => Vec::new(),
        STATFS => vec![0; 80],
        _ => return Some(Err(libc::ENOSYS)),
    };
    Some(Ok(body))
}

fn longs(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

/// `fuse_init_out`: version 7.31, the reader's own read-ahead, no extras.
fn init(readahead: u64) -> Vec<u8> {
    let words: [u32; 16] =
        [7, 31, u32::try_from(readahead).unwrap_or(0), 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// `fuse_attr` of a file, or of the one folder.
fn attributes(node: u64, file: Option<&Vec<u8>>) -> Vec<u8> {
    let size = file.map_or(0, |file| file.len() as u64);
    let mut bytes = longs(&[node, size, size.div_ceil(512), WRITTEN, WRITTEN, WRITTEN]);
    let mode = if file.is_some() { 0o100_444 } else { 0o40_555 };
    for word in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0_u32] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// Directory entries from `offset` on, as many as fit.
fn names(count: u64, offset: u64, size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in offset..count {
        let name = format!("{index}.wav");
        let mut entry = longs(&[index + 2, index + 1]);
        entry.extend_from_slice(&u32::try_from(name.len()).expect("short").to_ne_bytes());
        entry.extend_from_slice(&REGULAR.to_ne_bytes());
        entry.extend_from_slice(name.as_bytes());
        entry.resize(entry.len().next_multiple_of(8), 0);
        if bytes.len() + entry.len() > size {
            break;
        }
        bytes.extend(entry);
    }
    bytes
}

/// Bytes of `fuse_in_header`.
const HEAD: usize = 40;
const LOOKUP: u64 = 1;
const FORGET: u64 = 2;
const GETATTR: u64 = 3;
const OPEN: u64 = 14;
const READ: u64 = 15;
const STATFS: u64 = 17;
const RELEASE: u64 = 18;
const FLUSH: u64 = 25;
const INIT: u64 = 26;
const OPENDIR: u64 = 27;
const READDIR: u64 = 28;
const RELEASEDIR: u64 = 29;
const INTERRUPT: u64 = 36;
const BATCH_FORGET: u64 = 42;
/// `DT_REG`.
const REGULAR: u32 = 8;
/// Some day in 2020, seconds since 1970.
const WRITTEN: u64 = 1_600_000_000;
