//! The command line: arguments, and one module per command.
//!
//! `process` starts Postgres, the runtime and the server in the order they need; `demo` makes what `pulpo dev` shows;
//! `credentials` is the file it writes; `console` is the only place that writes to standard output.

mod admin;
mod console;
mod credentials;
mod demo;
mod installation;
mod ledger;
mod openapi;
mod process;
mod routes;

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    config::{Config, LogFormat},
    contract::SurfaceName,
    db::builtin,
};

use process::Database;

/// One self-hosted backend that serves five documented APIs.
#[derive(Debug, Parser)]
#[command(name = "pulpo", version)]
pub struct Arguments {
    /// The configuration file; pulpo.toml in this folder when there is one.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs everything on this machine, with its own Postgres and a demo organisation.
    Dev {
        /// Where data, secrets and credentials are kept.
        #[arg(long, value_name = "FOLDER", default_value = "./pulpo-data")]
        data_dir: PathBuf,
    },
    /// Runs the server on a database of yours.
    Serve {
        /// Uses the built-in Postgres instead of DATABASE_URL.
        #[arg(long)]
        built_in_postgres: bool,
        /// Where the built-in Postgres keeps its data.
        #[arg(long, value_name = "FOLDER", default_value = "./pulpo-data")]
        data_dir: PathBuf,
        /// What this process does.
        #[arg(long, value_enum, default_value_t = Role::All)]
        role: Role,
    },
    /// Brings the database up to date.
    Migrate {
        #[command(flatten)]
        target: Target,
    },
    /// Prints every rpc with its method, path and access rule.
    Routes,
    /// Prints what describes an API, as OpenAPI 3.1.
    Openapi {
        /// Which API; all of them, by their names, when absent.
        #[arg(long, value_parser = openapi::surface_parser())]
        surface: Option<SurfaceName>,
    },
    /// Creates organisations, users, keys, wallets and connections, printing secrets once; verifies the ledger.
    Admin {
        #[command(flatten)]
        target: Target,
        #[command(subcommand)]
        command: admin::Admin,
    },
}

/// Which database a command works on.
#[derive(Debug, clap::Args)]
struct Target {
    /// The data folder of a built-in Postgres, running or not; DATABASE_URL when absent.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Answers requests.
    Api,
    /// Works in the background: events, jobs, deliveries, housekeeping. It listens for its operator at most.
    Worker,
    /// Both.
    All,
}

impl Role {
    fn answers(self) -> bool {
        self != Self::Worker
    }

    fn works(self) -> bool {
        self != Self::Api
    }
}

/// Runs the command. Call it on the main thread, outside a runtime.
///
/// # Errors
/// Whatever keeps the command from doing its work, as a sentence for its user.
pub fn run(arguments: Arguments) -> Result<()> {
    match arguments.command {
        Command::Routes => return routes::print(),
        Command::Openapi { surface } => return openapi::print(surface),
        _ => {}
    }
    let mut config = Config::load(arguments.config.as_deref())?;
    match arguments.command {
        Command::Routes | Command::Openapi { .. } => Ok(()),
        Command::Dev { data_dir } => {
            installation::complete(&mut config.secrets, &data_dir)?;
            // Whoever develops receives webhooks on their own machine.
            config.delivery.allow_private_targets = true;
            let database = Database::built_in(&data_dir, &config)?;
            process::serve(
                config,
                database,
                LogFormat::Console,
                Role::All,
                Some(&data_dir),
            )
        }
        Command::Serve {
            built_in_postgres,
            data_dir,
            role,
        } => {
            require_secrets(&config)?;
            let database = match (built_in_postgres, &config.database.url) {
                (true, _) => Database::built_in(&data_dir, &config)?,
                (false, Some(url)) => Database::External(url.clone()),
                (false, None) => bail!(
                    "no database: set DATABASE_URL=postgres://user:password@host:5432/pulpo, or give --built-in-postgres"
                ),
            };
            process::serve(config, database, LogFormat::Json, role, None)
        }
        Command::Migrate { target } => process::migrate(&target.database(&config)?),
        Command::Admin { target, command } => {
            // Only what `dev` made: a key made here would seal what the server cannot open.
            if config.secrets.master_key.is_none()
                && let Some(data_dir) = &target.data_dir
            {
                installation::read(&mut config.secrets, data_dir)?;
            }
            let database = target.database(&config)?;
            process::block_on(admin::run(command, &config, database.url()))
        }
    }
}

fn require_secrets(config: &Config) -> Result<()> {
    for (secret, variable) in [
        (&config.secrets.master_key, "PULPO_MASTER_KEY"),
        (&config.secrets.jwt_secret, "PULPO_JWT_SECRET"),
    ] {
        ensure!(
            secret.is_some(),
            "{variable} is not set; make one with: export {variable}=$(openssl rand -hex 32) and keep it, since what it \
             protects is lost without it"
        );
    }
    Ok(())
}

impl Target {
    fn database(&self, config: &Config) -> Result<Database> {
        match (&self.data_dir, &config.database.url) {
            (Some(data_dir), _) => match builtin::running_url(data_dir) {
                Some(url) => Ok(Database::External(url)),
                None => Database::built_in(data_dir, config),
            },
            (None, Some(url)) => Ok(Database::External(url.clone())),
            (None, None) => {
                bail!("no database: set DATABASE_URL, or give --data-dir of a built-in Postgres")
            }
        }
    }
}
