//! Which surface of a listener a host is served by.

use std::{collections::HashMap, sync::Arc};

use super::Site;

/// The sites of one listener, by host.
#[derive(Default)]
pub(super) struct Hosts {
    exact: HashMap<String, Arc<Site>>,
    /// By the part behind the `*`, the longest first.
    below: Vec<(String, Arc<Site>)>,
    any: Option<Arc<Site>>,
}

impl Hosts {
    pub(super) fn add(&mut self, hosts: &[String], site: &Arc<Site>) {
        if hosts.is_empty() {
            self.any = Some(site.clone());
        }
        for host in hosts {
            let host = host.to_ascii_lowercase();
            match host.strip_prefix('*') {
                Some(below) => self.below.push((below.to_owned(), site.clone())),
                None => {
                    self.exact.insert(host, site.clone());
                }
            }
        }
        self.below
            .sort_by_key(|(below, _)| std::cmp::Reverse(below.len()));
    }

    pub(super) fn site(&self, host: &str) -> Option<&Arc<Site>> {
        if self.exact.is_empty() && self.below.is_empty() {
            return self.any.as_ref();
        }
        let host = without_port(host).to_ascii_lowercase();
        let below = || {
            let mut below = self.below.iter();
            let (_, site) = below.find(|(below, _)| host.ends_with(below.as_str()))?;
            Some(site)
        };
        self.exact.get(&host).or_else(below).or(self.any.as_ref())
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}
