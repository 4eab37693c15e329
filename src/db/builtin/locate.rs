//! Where Postgres's programs are, and the user they run as.

use std::{
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::{Gid, Uid, User, chown, geteuid, getppid},
};

/// Postgres's programs, and the user they run as when we are root, which Postgres refuses to run as.
pub(super) struct Programs {
    folder: PathBuf,
    user: Option<(Uid, Gid)>,
}

impl Programs {
    /// Those in `folder`, or the newest ones of the system.
    pub(super) fn find(folder: Option<&Path>) -> Result<Self> {
        let folder = match folder {
            Some(folder) => {
                ensure!(is_complete(folder), "database.postgres_bin: no initdb and postgres in {}", folder.display());
                folder.to_owned()
            }
            None => newest().context(
                "Postgres is not installed: apt-get install postgresql, or set PULPO_POSTGRES_BIN to the folder with \
                 initdb and postgres, or DATABASE_URL to a database of your own",
            )?,
        };
        Ok(Self {
            folder,
            user: unprivileged_user()?,
        })
    }

    /// A command that runs one of the programs and ends with `signal` when the calling thread ends.
    pub(super) fn command(&self, program: &str, signal: Signal) -> Command {
        let mut command = Command::new(self.folder.join(program));
        if let Some((uid, gid)) = self.user {
            command.uid(uid.as_raw()).gid(gid.as_raw()); // the supplementary groups go too
        }
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0); // Ctrl-C is for us, not for the server
        for variable in ["PGDATA", "PGPORT", "PGHOST", "PGOPTIONS"] {
            command.env_remove(variable);
        }
        let parent = nix::unistd::getpid();
        // After the change of user, which would clear the parent-death signal.
        let before_exec = move || {
            set_pdeathsig(signal)?;
            // The parent may have ended before the signal was asked for.
            if getppid() == parent {
                Ok(())
            } else {
                Err(nix::errno::Errno::ESRCH.into())
            }
        };
        #[expect(
            unsafe_code,
            reason = "pre_exec is unsafe; the closure makes two system calls and allocates nothing"
        )]
        unsafe {
            command.pre_exec(before_exec);
        }
        command
    }

    /// Makes `path` a folder that only the server's user may enter.
    pub(super) fn private_folder(&self, path: &Path) -> Result<()> {
        let context = || format!("cannot create the folder {}", path.display());
        if !path.exists() {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(path)
                .with_context(context)?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
            .with_context(context)?;
        if let Some((uid, gid)) = self.user {
            chown(path, Some(uid), Some(gid)).with_context(context)?;
        }
        Ok(())
    }

    /// Refuses a folder that the server's user cannot get to.
    pub(super) fn check_reachable(&self, data_dir: &Path) -> Result<()> {
        let Some((uid, gid)) = self.user else {
            return Ok(());
        };
        for folder in data_dir.ancestors() {
            let metadata = folder
                .metadata()
                .with_context(|| format!("cannot read {}", folder.display()))?;
            let bit = match () {
                () if metadata.uid() == uid.as_raw() => 0o100,
                () if metadata.gid() == gid.as_raw() => 0o010,
                () => 0o001,
            };
            if metadata.mode() & bit == 0 {
                let user = User::from_uid(uid)?.map_or_else(|| uid.to_string(), |user| user.name);
                bail!(
                    "Postgres does not run as root but as {user}, which may not enter {folder}; choose another --data-dir, \
                     allow it with: chmod o+x {folder}, or run pulpo as an ordinary user",
                    folder = folder.display()
                );
            }
        }
        Ok(())
    }
}

fn is_complete(folder: &Path) -> bool {
    folder.join("initdb").exists() && folder.join("postgres").exists()
}

/// The newest version Debian's packages installed, or what the search path has.
fn newest() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse().ok()?,
                entry.path().join("bin"),
            ))
        })
        .filter(|(_, folder)| is_complete(folder))
        .collect();
    versions.sort();
    versions.pop().map(|(_, folder)| folder).or_else(|| {
        std::env::var_os("PATH")
            .and_then(|path| std::env::split_paths(&path).find(|folder| is_complete(folder)))
    })
}

/// Nobody in particular unless we are root. `initdb` looks the user up, so it needs an account.
fn unprivileged_user() -> Result<Option<(Uid, Gid)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some((user.uid, user.gid)));
        }
    }
    bail!(
        "Postgres does not run as root, and there is no user postgres or nobody; run pulpo as an ordinary user"
    )
}
