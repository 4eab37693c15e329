//! The figures as tables, and which gates hold.

use std::{fmt::Write, fs, process::Command};

use anyhow::Result;

use crate::router::{self, Figure};

use super::{
    Options, Windows,
    cases::{Case, Gate},
    memory,
    servers::Name,
};

/// What was measured so far.
#[derive(Default)]
pub(crate) struct Report {
    text: String,
    has_failed: bool,
}

/// Median and range.
struct Summary {
    median: f64,
    least: f64,
    most: f64,
}

impl Summary {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => at(middle),
            _ => f64::midpoint(at(middle.saturating_sub(1)), at(middle)),
        };
        Self {
            median,
            least: at(0),
            most: at(values.len().saturating_sub(1)),
        }
    }
}

impl Report {
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let mut text = String::new();
        writeln!(text, "# What the gateway costs\n\n{}", machine(options)?)?;
        Ok(Self {
            text,
            has_failed: false,
        })
    }

    /// Adds the figures of a case.
    pub(crate) fn add(&mut self, case: &Case, figures: Vec<(Name, Windows)>) {
        let mut part = format!("\n## {}: {}\n\n", case.name, case.about);
        part.push_str("| server | CPU µs a request, median | range |\n| --- | --- | --- |\n");
        for (name, windows) in &figures {
            let Summary {
                median,
                least,
                most,
            } = Summary::of(windows.clone());
            part.push_str(&format!(
                "| {name} | {median:.2} | {least:.2} to {most:.2} |\n"
            ));
        }
        part.push_str(
            "\n| compared | cost of the second in the first's | range | must hold | aim | |\n",
        );
        part.push_str("| --- | --- | --- | --- | --- | --- |\n");
        for gate in &case.gates {
            self.compare(gate, &figures, &mut part);
        }
        self.show(&part);
    }

    /// Adds the route lookups; whether they are fast enough.
    pub(crate) fn add_routes(&mut self, figures: &[Figure]) -> bool {
        let mut part = "\n## router: a lookup over 1,000 routes, in shuffled order\n\n".to_owned();
        part.push_str("| segments | routes | ns, median | least | must hold | | plain sums, median : least |\n");
        part.push_str("| --- | --- | --- | --- | --- | --- | --- |\n");
        let mut is_good = true;
        for figure in figures {
            let is_fast = figure.median_ns <= router::LIMIT_NS;
            is_good &= is_fast;
            part.push_str(&format!(
                "| {} | {} | {:.0} | {:.0} | {} | {} | {:.2} |\n",
                figure.segments.map_or("all".to_owned(), |n| n.to_string()),
                figure.routes,
                figure.median_ns,
                figure.least_ns,
                router::LIMIT_NS,
                if is_fast { "holds" } else { "FAILS" },
                figure.slowdown,
            ));
        }
        self.has_failed |= !is_good;
        self.show(&part);
        is_good
    }

    /// Adds the memory of streams.
    pub(crate) fn add_memory(&mut self, figures: &[memory::Figure]) {
        let mut part =
            "\n## memory: resident, of the server\n\n| what | KiB | must hold | |\n".to_owned();
        part.push_str("| --- | --- | --- | --- |\n");
        for figure in figures {
            let (limit, verdict) = match figure.limit_kib {
                None => (String::new(), ""),
                Some(limit) if figure.kib <= limit => (format!("≤ {limit}"), "holds"),
                Some(limit) => {
                    self.has_failed = true;
                    (format!("≤ {limit}"), "FAILS")
                }
            };
            part.push_str(&format!(
                "| {} | {:.1} | {limit} | {verdict} |\n",
                figure.name, figure.kib
            ));
        }
        self.show(&part);
    }

    fn show(&mut self, part: &str) {
        // At once: a whole run takes minutes.
        let _ = std::io::Write::write_all(&mut std::io::stdout(), part.as_bytes());
        self.text.push_str(part);
    }

    fn compare(&mut self, gate: &Gate, figures: &[(Name, Windows)], part: &mut String) {
        let of = |name| {
            figures
                .iter()
                .find(|(of, _)| *of == name)
                .map(|(_, windows)| windows)
        };
        let (Some(subject), Some(rival)) = (of(gate.subject), of(gate.rival)) else {
            return;
        };
        let ratios = rival
            .iter()
            .zip(subject)
            .map(|(rival, subject)| rival / subject);
        let Summary {
            median,
            least,
            most,
        } = Summary::of(ratios.collect());
        let shown = |limit: Option<f64>| limit.map_or("".to_owned(), |limit| format!("{limit} ×"));
        let verdict = match (gate.must, gate.aim) {
            (Some(must), _) if median < must => {
                self.has_failed = true;
                "FAILS"
            }
            (_, Some(aim)) if median < aim => "holds",
            (Some(_), _) => "aim reached",
            _ => "",
        };
        part.push_str(&format!(
            "| {} : {} | {median:.2} × | {least:.2} to {most:.2} | {} | {} | {verdict} |\n",
            gate.subject,
            gate.rival,
            shown(gate.must),
            shown(gate.aim),
        ));
    }

    /// Writes the results; true when every gate holds.
    pub(crate) fn finish(self, options: &Options) -> Result<bool> {
        if let Some(path) = &options.out {
            fs::write(path, &self.text)?;
        }
        Ok(!self.has_failed)
    }
}

/// Where and how it was measured.
fn machine(options: &Options) -> Result<String> {
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output()?;
        anyhow::Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let field = |name: &str| {
        cpu.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(": "))
            .map_or("?", |(_, value)| value)
    };
    Ok(format!(
        "Measured on {} on {} cores of {} ({} MHz), Linux {}, rustc {}, Envoy {}.\n\n\
         Servers on core {}, load (wrk, h2load) on core {}; {} rounds of {} s a server in turn, every other round backwards, \
         after one to warm up. The figure is the CPU time (user and system) of all processes a server consists of, \
         for each request it answered. All Rust servers use mimalloc and one worker thread; Envoy runs with \
         `--concurrency 1`. All have the layers of a deployment: body limit, time limits, request ids, metrics; the \
         tonic service behind a proxy has none of its own. Access logs are off.",
        run("date", &["-u", "+%F %H:%M UTC"])?,
        std::thread::available_parallelism()?,
        field("model name"),
        field("cpu MHz"),
        run("uname", &["-r"])?,
        run("rustc", &["--version"])?.replace("rustc ", ""),
        run(&options.envoy.to_string_lossy(), &["--version"])?
            .split('/')
            .nth(1)
            .unwrap_or("?"),
        options.server_core,
        options.load_core,
        options.rounds,
        options.seconds,
    ))
}
