//! What is measured of a program, and how the kernel is asked for it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// One run of one program.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Tracks a second of a scan into an empty database.
    pub cold: f64,
    /// Tracks a second of a scan that finds nothing new.
    pub unchanged: f64,
    /// Resident memory when it has come to rest, MB.
    pub resident: f64,
    /// The most it ever had, of one of its processes, MB.
    pub peak: f64,
    /// Bytes of its databases for each track.
    pub database: f64,
    /// From its start with this collection to its first answer over HTTP, ms; NaN when it was not asked.
    pub answers: f64,
}

impl Figures {
    /// Returns the median of each figure, and the greatest peak.
    pub fn middle(runs: &[Figures]) -> Figures {
        let of = |figure: fn(&Figures) -> f64| middle(runs.iter().map(figure).collect());
        Figures {
            cold: of(|it| it.cold),
            unchanged: of(|it| it.unchanged),
            resident: of(|it| it.resident),
            peak: runs.iter().map(|it| it.peak).fold(f64::NAN, f64::max),
            database: of(|it| it.database),
            answers: of(|it| it.answers),
        }
    }
}

/// Returns the median.
pub fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns a line of `/proc/ID/status` that counts memory (proc(5)), in MB of 1,000,000 bytes; `None` when the process is gone.
pub fn memory(id: u32, line: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let value = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(':'))?;
    let kib: f64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

/// Returns the greatest `VmHWM` among a process and its children, MB.
pub fn peak_of_family(id: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> =
        texts.flat_map(|text| text.split(' ').filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect();
    children.into_iter().chain([id]).filter_map(|id| memory(id, "VmHWM")).fold(0.0, f64::max)
}

/// Returns how many bytes a process has read by system calls, the threads left out whose name begins with `without`.
pub fn read_bytes(id: u32, without: &str) -> u64 {
    let of = |path: &Path| -> u64 {
        let text = fs::read_to_string(path).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix("rchar: ")).map(str::parse);
        value.and_then(Result::ok).unwrap_or(0)
    };
    let process = Path::new("/proc").join(id.to_string());
    let tasks = fs::read_dir(process.join("task")).into_iter().flatten().flatten().map(|task| task.path());
    let named = |task: &Path| fs::read_to_string(task.join("comm")).is_ok_and(|it| it.starts_with(without));
    let left_out: u64 = tasks.filter(|task| named(task)).map(|task| of(&task.join("io"))).sum();
    of(&process.join("io")) - left_out
}

/// Returns the size of the files in `folder`, by name.
pub fn sizes(folder: &Path) -> HashMap<String, u64> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let size = |entry: fs::DirEntry| {
        let length = entry.metadata().map(|it| it.len()).unwrap_or(0);
        (entry.file_name().to_string_lossy().into_owned(), length)
    };
    entries.map(size).collect()
}
