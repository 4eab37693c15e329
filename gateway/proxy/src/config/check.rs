//! What can be wrong with a configuration that can be read. Everything is told at once.

use std::collections::HashSet;

use super::{Config, Surface, Upstream, security};
use crate::upstream::Origin;

impl Config {
    /// Everything that is wrong with it, each a sentence.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        for (kind, names) in [
            ("listener", names(&self.listeners, |l| &l.name)),
            ("upstream", names(&self.upstreams, |u| &u.name)),
            ("surface", names(&self.surfaces, |s| &s.name)),
        ] {
            if names.is_empty() {
                faults.push(format!("there is no {kind}"));
            }
            let mut seen = HashSet::new();
            for name in names {
                if name.is_empty() {
                    faults.push(format!("a {kind} has no name"));
                } else if !seen.insert(name) {
                    faults.push(format!("two {kind}s are named {name}"));
                }
            }
        }
        for upstream in &self.upstreams {
            check_upstream(upstream, &mut faults);
        }
        for surface in &self.surfaces {
            self.check_surface(surface, &mut faults);
        }
        self.check_hosts(&mut faults);
        let server = &self.server;
        for (name, value) in [
            ("server.max_connections", server.max_connections as u64),
            ("server.header_timeout_ms", server.header_timeout_ms),
            ("server.idle_timeout_ms", server.idle_timeout_ms),
            ("server.drain_timeout_ms", server.drain_timeout_ms),
        ] {
            at_least_one(name, value, &mut faults);
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    fn check_surface(&self, surface: &Surface, faults: &mut Vec<String>) {
        let name = &surface.name;
        for listener in &surface.listeners {
            if !self.listeners.iter().any(|l| l.name == *listener) {
                faults.push(format!("surface {name}: there is no listener {listener}"));
            }
        }
        for upstream in &surface.upstreams {
            if !self.upstreams.iter().any(|u| u.name == *upstream) {
                faults.push(format!("surface {name}: there is no upstream {upstream}"));
            }
        }
        for origin in &surface.cors_origins {
            if http::HeaderValue::from_str(origin).is_err() {
                faults.push(format!("surface {name}: {origin} is no origin"));
            }
        }
        for header in &surface.cors_exposed {
            if header.parse::<http::HeaderName>().is_err() {
                faults.push(format!("surface {name}: {header} is no header"));
            }
        }
        let docs = &surface.docs;
        let security = security::faults(&docs.security_schemes, &docs.security);
        faults.extend(
            security
                .iter()
                .map(|fault| format!("surface {name}: {fault}")),
        );
        let rules = surface.headers.rules().err().into_iter().flatten();
        faults.extend(rules.map(|fault| format!("surface {name}: headers: {fault}")));
        for (key, value) in [
            ("max_headers", surface.max_headers as u64),
            ("max_body_bytes", surface.max_body_bytes as u64),
            ("max_reply_bytes", surface.max_reply_bytes as u64),
            ("body_timeout_ms", surface.body_timeout_ms),
            ("stream_idle_timeout_ms", surface.stream_idle_timeout_ms),
            ("deadline_ms", surface.deadline_ms.unwrap_or(1)),
            ("deadline_cap_ms", surface.deadline_cap_ms.unwrap_or(1)),
            ("streams.keep_alive_ms", surface.streams.keep_alive_ms),
            ("streams.ping_ms", surface.streams.ping_ms),
            ("json.max_values", u64::from(surface.json.max_values)),
        ] {
            at_least_one(&format!("surface {name}: {key}"), value, faults);
        }
    }

    /// On one listener a host belongs to one surface.
    fn check_hosts(&self, faults: &mut Vec<String>) {
        for listener in &self.listeners {
            let mut seen = HashSet::new();
            for surface in self.surfaces.iter().filter(|s| s.is_on(&listener.name)) {
                let mut hosts: Vec<&str> = surface.hosts.iter().map(String::as_str).collect();
                if hosts.is_empty() {
                    hosts.push("any host");
                }
                for host in hosts {
                    if !seen.insert(host.to_ascii_lowercase()) {
                        faults.push(format!(
                            "listener {}: two surfaces are served for {host}",
                            listener.name
                        ));
                    }
                }
            }
            if seen.is_empty() {
                faults.push(format!("listener {} has no surface", listener.name));
            }
        }
    }
}

impl Surface {
    /// Whether it is served on this listener.
    pub(crate) fn is_on(&self, listener: &str) -> bool {
        self.listeners.is_empty() || self.listeners.iter().any(|l| l == listener)
    }

    /// Whether it has services of this upstream.
    pub(crate) fn is_of(&self, upstream: &str) -> bool {
        self.upstreams.is_empty() || self.upstreams.iter().any(|u| u == upstream)
    }
}

impl Config {
    /// The services that surfaces of this upstream name.
    pub(crate) fn named(&self, upstream: &str) -> Vec<&str> {
        let surfaces = self.surfaces.iter().filter(|s| s.is_of(upstream));
        surfaces
            .flat_map(|s| s.services.iter().map(String::as_str))
            .collect()
    }
}

fn names<T>(items: &[T], name: impl Fn(&T) -> &String) -> Vec<&String> {
    items.iter().map(name).collect()
}

fn check_upstream(upstream: &Upstream, faults: &mut Vec<String>) {
    let name = &upstream.name;
    if let Err(fault) = upstream.url.parse::<Origin>() {
        faults.push(format!("upstream {name}: url: {fault}"));
    }
    match (&upstream.descriptor_set, upstream.reflection) {
        (None, false) => faults.push(format!(
            "upstream {name}: descriptors come from a descriptor_set or from reflection; it has neither"
        )),
        (Some(_), true) => faults.push(format!(
            "upstream {name}: descriptors come from a descriptor_set or from reflection; it has both"
        )),
        _ => {}
    }
    for (key, value) in [
        ("max_in_flight", upstream.max_in_flight as u64),
        ("connect_timeout_ms", upstream.connect_timeout_ms),
        ("backoff_max_ms", upstream.backoff_max_ms),
        ("keep_alive_ms", upstream.keep_alive_ms),
    ] {
        at_least_one(&format!("upstream {name}: {key}"), value, faults);
    }
    if upstream.ca.is_some() && !upstream.url.starts_with("https://") {
        faults.push(format!("upstream {name}: a ca is for https:// only"));
    }
    if upstream.max_in_flight > 1_000_000 {
        faults.push(format!(
            "upstream {name}: max_in_flight must be at most 1000000"
        ));
    }
}

fn at_least_one(name: &str, value: u64, faults: &mut Vec<String>) {
    if value < 1 {
        faults.push(format!("{name} must be at least 1"));
    }
}
