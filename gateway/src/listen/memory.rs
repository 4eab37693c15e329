//! The pages the memory of connections comes in.

/// Has the system keep memory in pages of 4 KiB rather than put 2 MiB together unasked.
///
/// Much of a silent connection's memory is buffers of which only the beginning was ever written. In small pages the rest
/// costs nothing; in huge ones all of it is resident: 40 KiB a stream instead of 20. For the start of a program. A system
/// without the switch is left as it is.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
}
