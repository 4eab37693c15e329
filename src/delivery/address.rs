//! Which addresses are public, and which targets may be registered: pure rules.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use ipnet::{Ipv4Net, Ipv6Net};
use url::{Host, Url};

/// Longest address of a target, in bytes.
pub const URL_BYTES_MAX: usize = 2048;

/// Networks of IPv4 that are not the public internet: RFC 6890 and its successors in IANA's registry. Addresses of cloud
/// metadata services are link-local or private.
static SPECIAL_V4: LazyLock<Vec<Ipv4Net>> = LazyLock::new(|| {
    parsed(&[
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ])
});

/// Global unicast is 2000::/3; these networks inside it are not the public internet.
static SPECIAL_V6: LazyLock<Vec<Ipv6Net>> = LazyLock::new(|| {
    parsed(&[
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    ])
});

static GLOBAL_V6: LazyLock<Vec<Ipv6Net>> = LazyLock::new(|| parsed(&["2000::/3"]));

fn parsed<T: std::str::FromStr>(networks: &[&str]) -> Vec<T> {
    // A test holds every network against what was parsed.
    networks
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// Whether the address is on the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => is_public_v4(address),
            None => {
                GLOBAL_V6.iter().any(|network| network.contains(&address))
                    && !SPECIAL_V6.iter().any(|network| network.contains(&address))
            }
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|network| network.contains(&address))
}

/// The IPv4 address that an IPv6 one stands for: mapped, or translated by NAT64.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let v4 = || Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(v4()),
        _ => None,
    }
}

/// The address of a target as it is stored.
///
/// # Errors
/// What is wrong with it, to complete "url …".
pub fn target(text: &str, allows_private: bool) -> Result<Url, &'static str> {
    if text.len() > URL_BYTES_MAX {
        return Err("must have at most 2048 bytes");
    }
    let url = Url::parse(text).map_err(|_| "must be an absolute https URL")?;
    match url.scheme() {
        "https" => {}
        "http" if allows_private => {}
        "http" => return Err("must be an https URL"),
        _ => return Err("must be an absolute https URL"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user or password");
    }
    if url.port() == Some(0) || url.as_str().len() > URL_BYTES_MAX {
        return Err("must be an absolute https URL");
    }
    let is_public_host = match url.host() {
        None => return Err("must be an absolute https URL"),
        Some(Host::Ipv4(address)) => is_public(address.into()),
        Some(Host::Ipv6(address)) => is_public(address.into()),
        Some(Host::Domain(name)) => is_public_name(name),
    };
    if !is_public_host && !allows_private {
        return Err("must be a public address, not one of a private network");
    }
    Ok(url)
}

/// Names that never mean a public host: RFC 6761, RFC 8375, and the internal domain. What other names resolve to is
/// looked at when they are connected to.
fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_home = name == "home.arpa" || name.ends_with(".home.arpa");
    !is_home
        && ![
            "localhost",
            "local",
            "internal",
            "localdomain",
            "invalid",
            "onion",
            "",
        ]
        .contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        is_public(text.parse().unwrap())
    }

    #[test]
    fn every_network_was_parsed() {
        assert_eq!(
            (SPECIAL_V4.len(), SPECIAL_V6.len(), GLOBAL_V6.len()),
            (18, 5, 1)
        );
    }

    #[test]
    fn private_addresses_are_refused_in_every_form() {
        for text in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "::127.0.0.1",
            "100::1",
        ] {
            assert!(!public(text), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "100.63.255.255",
            "100.128.0.0",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(public(text), "{text}");
        }
    }

    #[test]
    fn targets() {
        for text in [
            "https://example.com/hooks?a=b",
            "https://example.com:8443/",
            "https://8.8.8.8/",
            "https://[2606:4700:4700::1111]/",
        ] {
            assert!(target(text, false).is_ok(), "{text}");
        }
        for text in [
            "",
            "example.com",
            "/hooks",
            "http://example.com/",
            "ftp://example.com/",
            "https://",
            "https://localhost/",
            "https://app.localhost./",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://169.254.169.254/",
            "https://user@example.com/",
            "https://user:pw@example.com/",
            "https://example.com:0/",
            "https://metadata.google.internal/",
            "https://printer.local/",
            "https://router.home.arpa/",
            "javascript:alert(1)",
            "file:///etc/passwd",
        ] {
            assert!(target(text, false).is_err(), "{text}");
        }
        assert!(target(&format!("https://example.com/{}", "a".repeat(2048)), true).is_err());
        assert!(target("http://127.0.0.1:8080/", true).is_ok());
        assert!(target("ftp://127.0.0.1/", true).is_err());
    }
}
