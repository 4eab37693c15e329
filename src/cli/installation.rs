//! The secrets of a data folder: made once, kept beside the data they protect.

use std::path::Path;

use anyhow::{Context, Result};

use super::console;
use crate::{
    config::{Config, Secret, Secrets},
    ids,
};

/// Fills in what is not configured from `<data_dir>/secrets.toml`, which is made when it is not there.
pub(super) fn complete(secrets: &mut Secrets, data_dir: &Path) -> Result<()> {
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("cannot create {}", data_dir.display()))?;
    let path = data_dir.join("secrets.toml");
    if !path.exists() {
        let text = format!(
            "# Made once. Without the master key, stored credentials cannot be read any more.\n[secrets]\n\
             master_key = \"{}\"\njwt_secret = \"{}\"\nmcp_api_key = \"{}\"\n",
            ids::secret("", 64),
            ids::secret("", 64),
            ids::secret("mcp_", 40),
        );
        console::private_file(&path, &text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    read(secrets, data_dir)
}

/// Fills in what is not configured from `<data_dir>/secrets.toml` if it is there.
pub(super) fn read(secrets: &mut Secrets, data_dir: &Path) -> Result<()> {
    let path = data_dir.join("secrets.toml");
    if !path.exists() {
        return Ok(());
    }
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let kept = Config::parse(&text, [])
        .with_context(|| path.display().to_string())?
        .secrets;
    let fill = |place: &mut Option<Secret>, kept: Option<Secret>| *place = place.take().or(kept);
    fill(&mut secrets.master_key, kept.master_key);
    fill(&mut secrets.previous_master_key, kept.previous_master_key);
    fill(&mut secrets.jwt_secret, kept.jwt_secret);
    fill(&mut secrets.mcp_api_key, kept.mcp_api_key);
    Ok(())
}
