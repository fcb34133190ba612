//! Work that must never be noticed: the thread that does it yields processor and disk to everybody else.
#![allow(unsafe_code)] // Neither `std` nor `nix` sets the priorities of a thread.

/// Puts this thread behind all others: nicer by 15, never less nice than the process was started, and the idle class of the disk where its scheduler knows one (ioprio_set(2)).
pub fn this_thread() {
    const WHO_THREAD: libc::c_long = 1;
    const CLASS_IDLE: libc::c_long = 3 << 13;
    // SAFETY: both calls take plain numbers; on Linux nice(2) is of the calling thread, as 0 is.
    unsafe {
        libc::nice(15);
        libc::syscall(libc::SYS_ioprio_set, WHO_THREAD, 0 as libc::c_long, CLASS_IDLE);
    }
}

/// Gives memory that is free back to the system: what a scan or a new finder needed for a moment.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number, touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Keeps large blocks out of the heap, so that they go back to the system when they are freed: glibc raises its own limit
/// with every such block otherwise (mallopt(3), M_MMAP_THRESHOLD), and gives every thread an arena.
pub fn keep_heap_small() {
    #[cfg(target_env = "gnu")]
    // SAFETY: called before other threads run; takes plain numbers.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
