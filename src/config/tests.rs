use super::*;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn failure(text: &str, pairs: &[(&str, &str)]) -> String {
    format!(
        "{:#}",
        Config::parse(text, variables(pairs)).expect_err("must be refused")
    )
}

#[test]
fn nothing_configured_gives_the_documented_addresses() {
    let config = Config::parse("", []).expect("defaults");
    let listen = &config.listen;
    let ports = [
        listen.pullpush,
        listen.pushpaka,
        listen.puppyone,
        listen.pulse,
        listen.integrations,
    ]
    .map(|a| a.port());
    assert_eq!(ports, [4264, 8080, 9090, 4170, 4180]);
    assert_eq!(config.http.max_body_bytes, 4 << 20);
    assert_eq!(
        config.supabase_url(listen.puppyone),
        "http://127.0.0.1:9090"
    );
}

#[test]
fn the_file_of_the_repository_holds_the_defaults() {
    let text = include_str!("../../pulpo.toml");
    assert_eq!(
        Config::parse(text, []).expect("as shipped").redacted(),
        Config::default().redacted()
    );
    // Every commented setting must be accepted when its comment sign is taken away.
    let settings: String = text
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .unwrap_or(line)
        })
        .collect::<Vec<_>>()
        .join("\n");
    let config = Config::parse(&settings, []).expect("every setting is known");
    assert_eq!(config.listen.pulse, Config::default().listen.pulse);
    for setting in settings::SETTINGS {
        assert!(
            text.contains(setting.variable()),
            "{} is not in pulpo.toml",
            setting.variable()
        );
    }
}

#[test]
fn variables_win_over_the_file() {
    let text = "[listen]\npulse = \"127.0.0.1:1\"\n[http]\nmax_connections = 5\n";
    let config = Config::parse(
        text,
        variables(&[
            ("PULPO_PULSE_ADDR", "0.0.0.0:0"),
            ("PULPO_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
            ("PULPO_LOG_FORMAT", "json"),
            ("PULPO_DATABASE_URL", "postgres://wins"),
            ("DATABASE_URL", "postgres://loses"),
            ("PULPO_MCP_API_KEY", ""),
        ]),
    )
    .expect("valid");
    assert_eq!(config.listen.pulse.to_string(), "0.0.0.0:0");
    assert_eq!(config.http.max_connections, 5);
    assert_eq!(
        config
            .http
            .trusted_proxies
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["10.0.0.0/8", "192.0.2.1/32"]
    );
    assert_eq!(config.log.format, Some(LogFormat::Json));
    assert_eq!(config.database.url.as_deref(), Some("postgres://wins"));
    assert!(config.secrets.mcp_api_key.is_none());
}

#[test]
fn mistakes_are_named_with_the_nearest_setting() {
    assert_eq!(
        failure("", &[("PULPO_PULSE_ADR", "x")]),
        "unknown variable PULPO_PULSE_ADR; the nearest known one is PULPO_PULSE_ADDR"
    );
    assert_eq!(
        failure("[http]\nmax_conections = 1", &[]),
        "unknown key http.max_conections; the nearest known one is http.max_connections"
    );
    assert_eq!(
        failure("[htp]\nx = 1", &[]),
        "unknown section [htp]; the nearest known one is [http]"
    );
    assert!(failure("", &[("PULPO_RATES_SCALE", "0")]).contains("rates.scale must be at least 1"));
    assert!(
        failure("", &[("PULPO_RATES_SCALE", "many")])
            .contains("PULPO_RATES_SCALE must be a whole number")
    );
    assert!(failure("", &[("PULPO_MASTER_KEY", "abc")]).contains("openssl rand -hex 32"));
    assert!(failure("", &[("PULPO_JWT_SECRET", "short")]).contains("at least 32 characters"));
    assert!(
        failure("", &[("PULPO_TRUSTED_PROXIES", "proxy")])
            .contains("\"proxy\" is not an IP address")
    );
}

#[test]
fn nothing_secret_is_shown() {
    let key = "ab".repeat(32);
    let config = Config::parse(
        "",
        variables(&[
            ("PULPO_MASTER_KEY", &key),
            ("PULPO_JWT_SECRET", &key),
            ("PULPO_MCP_API_KEY", &key),
            (
                "DATABASE_URL",
                "postgres://u:hunter2@h:5/d?password=hunter2",
            ),
        ]),
    )
    .expect("valid");
    for shown in [config.redacted(), format!("{config:?}")] {
        assert!(
            !shown.contains("abab") && !shown.contains("hunter2"),
            "{shown}"
        );
        assert!(shown.contains("postgres://u:[redacted]@h:5"), "{shown}");
    }
    assert_eq!(config.secrets.master_key.expect("set").expose(), key);
    assert_eq!(
        secret::without_password("host=h password='hunter 2'"),
        "[redacted]"
    );
    assert_eq!(
        secret::without_password("postgres://u:hun/ter@h/d"),
        "postgres://u:[redacted]@h/d"
    );
}
