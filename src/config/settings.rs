//! Every key with its variable, and what names a mistake.

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

/// How a variable's text becomes a value.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Integer,
    Boolean,
    /// Comma-separated texts.
    List,
}

/// One key of one section, and its variable.
pub(super) struct Setting {
    section: &'static str,
    key: &'static str,
    variable: &'static str,
    form: Form,
}

const fn setting(
    section: &'static str,
    key: &'static str,
    variable: &'static str,
    form: Form,
) -> Setting {
    Setting {
        section,
        key,
        variable,
        form,
    }
}

#[cfg(test)]
impl Setting {
    pub(super) fn variable(&self) -> &'static str {
        self.variable
    }
}

/// Every setting there is.
pub(super) const SETTINGS: &[Setting] = &[
    setting("listen", "pullpush", "PULPO_PULLPUSH_ADDR", Form::Text),
    setting("listen", "pushpaka", "PULPO_PUSHPAKA_ADDR", Form::Text),
    setting("listen", "puppyone", "PULPO_PUPPYONE_ADDR", Form::Text),
    setting("listen", "pulse", "PULPO_PULSE_ADDR", Form::Text),
    setting(
        "listen",
        "integrations",
        "PULPO_INTEGRATIONS_ADDR",
        Form::Text,
    ),
    setting("listen", "operations", "PULPO_OPERATIONS_ADDR", Form::Text),
    setting("database", "url", "PULPO_DATABASE_URL", Form::Text),
    setting(
        "database",
        "pool_size",
        "PULPO_DATABASE_POOL_SIZE",
        Form::Integer,
    ),
    setting("database", "postgres_bin", "PULPO_POSTGRES_BIN", Form::Text),
    setting("secrets", "master_key", "PULPO_MASTER_KEY", Form::Text),
    setting(
        "secrets",
        "previous_master_key",
        "PULPO_PREVIOUS_MASTER_KEY",
        Form::Text,
    ),
    setting("secrets", "jwt_secret", "PULPO_JWT_SECRET", Form::Text),
    setting("secrets", "mcp_api_key", "PULPO_MCP_API_KEY", Form::Text),
    setting(
        "http",
        "trusted_proxies",
        "PULPO_TRUSTED_PROXIES",
        Form::List,
    ),
    setting("http", "cors_origins", "PULPO_CORS_ORIGINS", Form::List),
    setting(
        "http",
        "max_body_bytes",
        "PULPO_MAX_BODY_BYTES",
        Form::Integer,
    ),
    setting(
        "http",
        "header_timeout_ms",
        "PULPO_HEADER_TIMEOUT_MS",
        Form::Integer,
    ),
    setting(
        "http",
        "idle_timeout_ms",
        "PULPO_IDLE_TIMEOUT_MS",
        Form::Integer,
    ),
    setting(
        "http",
        "body_timeout_ms",
        "PULPO_BODY_TIMEOUT_MS",
        Form::Integer,
    ),
    setting(
        "http",
        "request_timeout_ms",
        "PULPO_REQUEST_TIMEOUT_MS",
        Form::Integer,
    ),
    setting(
        "http",
        "max_connections",
        "PULPO_MAX_CONNECTIONS",
        Form::Integer,
    ),
    setting(
        "http",
        "drain_timeout_ms",
        "PULPO_DRAIN_TIMEOUT_MS",
        Form::Integer,
    ),
    setting("http", "docs", "PULPO_DOCS", Form::Boolean),
    setting("rates", "scale", "PULPO_RATES_SCALE", Form::Integer),
    setting(
        "housekeeping",
        "interval_ms",
        "PULPO_HOUSEKEEPING_INTERVAL_MS",
        Form::Integer,
    ),
    setting(
        "housekeeping",
        "batch_rows",
        "PULPO_HOUSEKEEPING_BATCH_ROWS",
        Form::Integer,
    ),
    setting(
        "delivery",
        "allow_private_targets",
        "PULPO_DELIVERY_ALLOW_PRIVATE_TARGETS",
        Form::Boolean,
    ),
    setting(
        "delivery",
        "concurrency",
        "PULPO_DELIVERY_CONCURRENCY",
        Form::Integer,
    ),
    setting(
        "delivery",
        "endpoint_concurrency",
        "PULPO_DELIVERY_ENDPOINT_CONCURRENCY",
        Form::Integer,
    ),
    setting(
        "pay",
        "compliance_rules",
        "PULPO_COMPLIANCE_RULES",
        Form::Text,
    ),
    setting(
        "workspace",
        "supabase_url",
        "PULPO_SUPABASE_URL",
        Form::Text,
    ),
    setting(
        "workspace",
        "supabase_anon_key",
        "PULPO_SUPABASE_ANON_KEY",
        Form::Text,
    ),
    setting(
        "deploy",
        "jwt_expiry_hours",
        "PULPO_JWT_EXPIRY_HOURS",
        Form::Integer,
    ),
    setting("log", "filter", "PULPO_LOG", Form::Text),
    setting("log", "format", "PULPO_LOG_FORMAT", Form::Text),
    setting("log", "otlp_endpoint", "PULPO_OTLP_ENDPOINT", Form::Text),
];

/// Refuses a section or key that nothing reads.
pub(super) fn check_keys(table: &Table) -> Result<()> {
    for (section, value) in table {
        if !SETTINGS.iter().any(|s| s.section == section) {
            let near = nearest(section, SETTINGS.iter().map(|s| s.section));
            bail!("unknown section [{section}]; the nearest known one is [{near}]");
        }
        let Value::Table(keys) = value else {
            bail!("{section} must be a section, [{section}]")
        };
        for key in keys.keys() {
            if !SETTINGS
                .iter()
                .any(|s| s.section == section && s.key == key)
            {
                let near = nearest(
                    key,
                    SETTINGS
                        .iter()
                        .filter(|s| s.section == section)
                        .map(|s| s.key),
                );
                bail!("unknown key {section}.{key}; the nearest known one is {section}.{near}");
            }
        }
    }
    Ok(())
}

/// Puts `variables` over what the file says; an empty variable counts as absent. `DATABASE_URL` is read like
/// `PULPO_DATABASE_URL`, which wins.
pub(super) fn apply_variables(
    table: &mut Table,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<()> {
    let mut variables: Vec<_> = variables
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    variables.sort(); // DATABASE_URL comes before every PULPO_…
    for (name, value) in variables {
        let wanted = if name == "DATABASE_URL" {
            "PULPO_DATABASE_URL"
        } else {
            &name
        };
        if !wanted.starts_with("PULPO_") {
            continue;
        }
        let Some(setting) = SETTINGS.iter().find(|s| s.variable == wanted) else {
            let near = nearest(wanted, SETTINGS.iter().map(|s| s.variable));
            bail!("unknown variable {name}; the nearest known one is {near}");
        };
        let value = match setting.form {
            Form::Text => Value::String(value),
            Form::Integer => Value::Integer(
                value
                    .trim()
                    .parse()
                    .with_context(|| format!("{name} must be a whole number"))?,
            ),
            Form::Boolean => Value::Boolean(
                value
                    .trim()
                    .parse()
                    .with_context(|| format!("{name} must be true or false"))?,
            ),
            Form::List => Value::Array(
                value
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty())
                    .map(|item| Value::String(item.to_owned()))
                    .collect(),
            ),
        };
        let section = table
            .entry(setting.section)
            .or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(keys) = section {
            keys.insert(setting.key.to_owned(), value);
        }
    }
    Ok(())
}

/// The candidate with the smallest edit distance to `word`; empty without candidates.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    candidates
        .min_by_key(|candidate| distance(word, candidate))
        .unwrap_or_default()
}

/// Levenshtein's distance, over bytes: names are ASCII.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
