//! Standard output.

use std::io::Write;

use anyhow::Result;

/// Writes `text` and a line break to standard output at once.
pub(super) fn line(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Writes `text` to `path`, readable by its owner only, whole or not at all.
pub(super) fn private_file(path: &std::path::Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let unfinished = path.with_extension("new");
    // A leftover would keep its own permissions.
    if unfinished.exists() {
        std::fs::remove_file(&unfinished)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(std::fs::rename(&unfinished, path)?)
}
