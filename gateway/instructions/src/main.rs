//! Pins how many instructions the gateway's codec takes, so that a change that costs more is seen where it is made.
//!
//! `codec-instructions check` runs every case under callgrind and compares its count with the one in `counts.txt`; it fails
//! when one is more than 2 % away, in either direction, and says so. `codec-instructions update` writes the file anew.
//!
//! The codec is compiled as a part of this program rather than with the gateway's crate, of which it is a small part: so no
//! server and no compression is optimised for it, only the codec, what it stands on, and what reads the .proto file.
//!
//! Counts do not depend on the machine's load or speed, and hardly on the machine: programs see the processor that valgrind
//! shows them, so code that asks for its features is the same wherever there is AVX2. They do depend on the compiler and on
//! the C library, whose versions are therefore in the file.

mod cases;
#[path = "../../src/codec/mod.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "it is the gateway's, and only two of its functions are counted"
)]
mod codec;
#[path = "../../src/profile.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "it is the gateway's, and one profile is counted"
)]
mod profile;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use cases::{Case, Direction, TEXTS};

const COUNTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");
/// How far a count may be from the pinned one, in hundredths.
const TOLERANCE_PERCENT: u64 = 2;

type Counts = BTreeMap<String, u64>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", name] => run(name).map(|()| ExitCode::SUCCESS),
        ["check"] => check(),
        ["update"] => update().map(|()| ExitCode::SUCCESS),
        _ => bail!("usage: codec-instructions check | update | run CASE"),
    }
}

/// What runs under callgrind. The first conversion finds the processor's features out and is not counted.
fn run(name: &str) -> Result<()> {
    let mut case = Case::named(name)?;
    let is_done = case.converted() && case.is_right() && case.counted_conversion();
    if is_done && case.is_right() {
        Ok(())
    } else {
        bail!("{name} does not convert as it should")
    }
}

fn check() -> Result<ExitCode> {
    let text = std::fs::read_to_string(COUNTS).with_context(|| format!("{COUNTS} is missing"))?;
    let (pinned, counted) = (parsed(&text)?, count_all()?);
    let mut report = String::new();
    let mut is_within = pinned.len() == counted.len();
    for (name, &count) in &counted {
        let Some(&pin) = pinned.get(name) else {
            writeln!(report, "{name:16} {count:>10}  is not pinned")?;
            is_within = false;
            continue;
        };
        let is_near = count.abs_diff(pin) * 100 <= pin * TOLERANCE_PERCENT;
        let change = (count as f64 / pin as f64 - 1.0) * 100.0;
        let mark = if is_near {
            ""
        } else {
            "  <- more than 2 % away"
        };
        writeln!(
            report,
            "{name:16} {count:>10}  pinned {pin:>10}  {change:+.2} %{mark}"
        )?;
        is_within &= is_near;
    }
    if !is_within {
        writeln!(
            report,
            "\nIf the change is meant, pin it with `make instructions-update`. The pinned counts are of\n{}and these of\n{}",
            head(&text),
            versions()?
        )?;
    }
    print_out(&report)?;
    Ok(ExitCode::from(u8::from(!is_within)))
}

fn update() -> Result<()> {
    let mut text = versions()?;
    for (name, count) in count_all()? {
        writeln!(text, "{name} {count}")?;
    }
    std::fs::write(COUNTS, &text)?;
    print_out(&text)
}

fn print_out(text: &str) -> Result<()> {
    use std::io::Write as _;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// The comment lines at the head of the file: what the counts depend on.
fn versions() -> Result<String> {
    let mut text = String::new();
    for command in [
        &["rustc", "--version"][..],
        &["ldd", "--version"],
        &["valgrind", "--version"],
    ] {
        let output = Command::new(command[0]).args(&command[1..]).output();
        let output = output.with_context(|| format!("{} does not run", command[0]))?;
        let first = String::from_utf8_lossy(&output.stdout);
        writeln!(text, "# {}", first.lines().next().unwrap_or_default())?;
    }
    Ok(text)
}

fn head(text: &str) -> String {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn parsed(text: &str) -> Result<Counts> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, count) = line.split_once(' ').context("a line has no count")?;
            Ok((name.to_owned(), count.parse()?))
        })
        .collect()
}

fn count_all() -> Result<Counts> {
    let names = TEXTS.iter().flat_map(|(text, _)| {
        Direction::ALL.map(|direction| format!("{text}-{}", direction.name()))
    });
    names
        .map(|name| Ok((name.clone(), count(&name)?)))
        .collect()
}

/// Runs one case under callgrind, collecting only inside the counted conversion.
fn count(name: &str) -> Result<u64> {
    let program = std::env::current_exe()?;
    let file: PathBuf = program.with_extension(format!("{name}.callgrind"));
    let mut out = std::ffi::OsString::from("--callgrind-out-file=");
    out.push(&file);
    let status = Command::new("valgrind")
        .args([
            "--quiet",
            "--tool=callgrind",
            "--toggle-collect=*counted_conversion*",
        ])
        .arg(out)
        .arg(&program)
        .args(["run", name])
        // The stack's place depends on the length of the environment.
        .env_clear()
        .stdout(Stdio::null())
        .status()
        .context("valgrind does not run; it comes with the system's packages")?;
    if !status.success() {
        bail!("{name} failed under callgrind");
    }
    let profile = std::fs::read_to_string(&file)?;
    std::fs::remove_file(&file)?;
    let summary = profile
        .lines()
        .find_map(|line| line.strip_prefix("summary: "));
    let count = summary
        .context("callgrind wrote no summary")?
        .trim()
        .parse()?;
    if count == 0 {
        bail!("nothing was counted in {name}: the counted function is gone");
    }
    Ok(count)
}
