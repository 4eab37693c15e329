//! One request to see the answer, and windows of load to measure.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::{
    Options,
    cases::{Case, Protocol, Shape},
    servers::{Contender, Name},
};

const JSON: &str = "content-type: application/json";

/// Tells what wrk counted in one line that can be read.
const SUMMARY: &str = r#"
done = function(summary)
  local e = summary.errors
  io.write(string.format("SUMMARY %d %d\n", summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

fn url(case: &Case, contender: &Contender) -> String {
    let path = match (contender.name, case.envoy_path) {
        (Name::Envoy, Some(path)) => path,
        _ => case.path,
    };
    format!("http://{}{path}", contender.address)
}

/// The JSON a server answers with; of a stream, the values in an array.
pub(crate) fn answer(case: &Case, contender: &Contender) -> Result<Value> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail-with-body"]);
    command.arg("--header");
    command.arg(format!("accept: {}", case.shape.accept()));
    let body = body_file(case)?;
    if case.body.is_some() {
        command.args(["--header", JSON, "--data-binary"]);
        command.arg(format!("@{}", body.path().display()));
    }
    let output = command.arg(url(case, contender)).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{text:.300}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read = |text: &str| serde_json::from_str(text).map(as_doubles);
    let lines = text.lines();
    let values: Result<Value, _> = match case.shape {
        Shape::Single => read(&text),
        Shape::Lines => lines.map(read).collect(),
        Shape::Events => lines
            .filter_map(|line| line.strip_prefix("data:"))
            .map(read)
            .collect(),
    };
    Ok(values?)
}

fn body_file(case: &Case) -> Result<NamedTempFile> {
    let file = NamedTempFile::new()?;
    if let Some(text) = &case.body {
        fs::write(file.path(), text)?;
    }
    Ok(file)
}

/// `1` and `1.0` are the same number, and servers print either.
fn as_doubles(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(values) => values.into_iter().map(as_doubles).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, as_doubles(value)))
            .collect(),
        other => other,
    }
}

/// Microseconds of CPU time for a request.
pub(crate) fn window(case: &Case, contender: &Contender, options: &Options) -> Result<f64> {
    let before = contender.cpu()?;
    let requests = match case.protocol {
        Protocol::Http1 => wrk(case, contender, options),
        Protocol::Http2 => h2load(case, contender, options),
    }?;
    // What is still being written to closed connections belongs to the window.
    std::thread::sleep(Duration::from_millis(20));
    let spent = contender.cpu()? - before;
    ensure!(requests > 0, "no request was answered");
    Ok(spent.as_secs_f64() * 1e6 / requests as f64)
}

/// How many requests were answered.
fn wrk(case: &Case, contender: &Contender, options: &Options) -> Result<u64> {
    let mut script = format!("wrk.headers['accept'] = '{}'\n", case.shape.accept());
    if let Some(body) = &case.body {
        script.push_str("wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/json'\n");
        script.push_str(&format!("wrk.body = [==[{body}]==]\n"));
    }
    script.push_str(SUMMARY);
    let file = NamedTempFile::new()?;
    fs::write(file.path(), script)?;
    let output = on_core(options.load_core, "wrk")
        .args(["--threads", "1"])
        .args(["--connections", &case.connections.to_string()])
        .args(["--duration", &format!("{}s", options.seconds)])
        .arg("--script")
        .arg(file.path())
        .arg(url(case, contender))
        .output()
        .context("wrk could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let counts: Vec<u64> = text
        .lines()
        .find_map(|line| line.strip_prefix("SUMMARY "))
        .context("wrk gave no summary")?
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [requests, errors] = counts[..] else {
        bail!("wrk gave another summary: {text}");
    };
    ensure!(errors == 0, "{requests} requests, {errors} errors:\n{text}");
    Ok(requests)
}

/// How many requests were answered.
fn h2load(case: &Case, contender: &Contender, options: &Options) -> Result<u64> {
    let body = body_file(case)?;
    let mut command = on_core(options.load_core, "h2load");
    command
        .args(["--threads", "1", "--max-concurrent-streams", "8"])
        .args(["--clients", &case.connections.to_string()])
        .args(["--duration", &options.seconds.to_string()])
        .args(["--header", &format!("accept: {}", case.shape.accept())]);
    if case.body.is_some() {
        command.args(["--header", JSON, "--data"]).arg(body.path());
    }
    let output = command
        .arg(url(case, contender))
        .output()
        .context("h2load could not be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let count = |kind: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("requests: "))?;
        let field = line
            .split(", ")
            .find_map(|field| field.strip_suffix(kind))?;
        field.trim().parse::<u64>().ok()
    };
    let succeeded = count("succeeded").context("h2load gave no summary")?;
    ensure!(count("failed") == Some(0), "requests failed:\n{text}");
    Ok(succeeded)
}

fn on_core(core: usize, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), program]);
    command
}
