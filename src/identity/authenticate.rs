//! From a presented credential to a principal: one query a request, the same answer for everything that is wrong.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use chrono::{DateTime, Utc};
use http::{HeaderMap, header};
use ipnet::IpNet;

use super::{
    Principal,
    caller::KeyPrincipal,
    digest,
    keys::{self, Finder, KeyKind, KeyRow, Sha256},
    remembered::Remembered,
    tokens::{Audience, Tokens},
    users,
};
use crate::{
    clock::Clock,
    db::Db,
    error::{Error, Result},
    lanes::Lanes,
    proto::pulpo::options::v1::Scheme,
};

/// Longer credentials are not looked at; JWTs of ours have about 250 characters.
const MAX_CREDENTIAL_BYTES: usize = 4096;

/// Checks credentials.
pub struct Authenticator {
    /// Where keys and users are.
    pub db: Db,
    /// Looks keys up.
    pub keys: Arc<Lanes<Finder>>,
    /// Those that were found lately, for methods that confirm them.
    pub remembered: Arc<Remembered>,
    /// Verifies user tokens.
    pub tokens: Tokens,
    /// What time it is.
    pub clock: Clock,
    /// SHA-256 of the operator's MCP key; without one nobody is the operator.
    pub mcp_key: Option<[u8; 32]>,
}

/// What a good credential comes to. A key at a wrong address is no principal, so nothing that asks for one can run.
#[derive(Clone, Debug)]
pub enum Authenticated {
    /// Its owner may go on.
    Principal(Principal),
    /// A key that may not be used from this address; refuse it with `wrong_address`.
    WrongAddress {
        /// `key_…`
        key_id: String,
    },
}

/// A credential as it stands in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presented<'h> {
    Bearer(&'h str),
    ApiKeyHeader(&'h str),
}

/// What a bearer token is.
enum Bearer {
    Principal(Principal),
    /// A key, if there is one of these kinds with this digest.
    Key(Sha256, Vec<KeyKind>),
}

impl Authenticator {
    /// The principal whose credential is presented, if one of the schemes accepts it, and whether a key may be used
    /// from this address. A key may be one that was good lately when it `is_confirmed_later`. Errors: `MISSING_CREDENTIAL`
    /// without a well-formed credential, `INVALID_CREDENTIAL`.
    pub async fn authenticate(
        &self,
        schemes: &[Scheme],
        is_confirmed_later: bool,
        headers: &HeaderMap,
        ip: IpAddr,
    ) -> Result<Authenticated> {
        let Some(presented) = presented(schemes, headers) else {
            return Err(missing());
        };
        let (sha256, kinds, scheme) = match presented {
            Presented::Bearer(credential) => match self.bearer(schemes, credential).await? {
                Bearer::Principal(principal) => return Ok(Authenticated::Principal(principal)),
                Bearer::Key(sha256, kinds) => (sha256, kinds, None),
            },
            Presented::ApiKeyHeader(credential) => {
                let scheme = Some(Scheme::TenantKeyHeader);
                (digest::sha256(credential), vec![KeyKind::Tenant], scheme)
            }
        };
        let remembered = is_confirmed_later.then(|| self.remembered.get(&sha256));
        let (row, unconfirmed) = match remembered.flatten() {
            Some(known) if kinds.contains(&known.row().kind) => {
                (Arc::clone(known.row()), Some(known))
            }
            _ => {
                let row = self.find(sha256, &kinds).await?;
                if is_confirmed_later {
                    self.remembered.put(sha256, Arc::clone(&row));
                }
                (row, None)
            }
        };
        if !is_ip_allowed(&row.ip_whitelist, ip) {
            return Ok(Authenticated::WrongAddress {
                key_id: row.id.clone(),
            });
        }
        let principal = KeyPrincipal {
            id: row.id.clone(),
            org_id: row.org_id.clone(),
            user_id: row.user_id,
            scheme: scheme.unwrap_or(row.kind.scheme()),
            permissions: row.permissions.clone(),
            allowed_agents: row.allowed_agents.clone(),
            unconfirmed,
        };
        Ok(Authenticated::Principal(Principal::Key(Arc::new(
            principal,
        ))))
    }

    async fn bearer(&self, schemes: &[Scheme], credential: &str) -> Result<Bearer> {
        let token = schemes.iter().find_map(|&scheme| {
            let user_id = self.tokens.verify(credential, Audience::of(scheme)?)?;
            Some((user_id, scheme))
        });
        if let Some((id, scheme)) = token {
            let mut conn = self.db.connection().await?;
            return match users::exists(&mut conn, id).await? {
                true => Ok(Bearer::Principal(Principal::User { id, scheme })),
                false => Err(invalid()),
            };
        }
        let sha256 = digest::sha256(credential);
        if schemes.contains(&Scheme::McpKey) && self.is_mcp_key(&sha256) {
            return Ok(Bearer::Principal(Principal::Operator));
        }
        let kinds: Vec<KeyKind> = KeyKind::ALL
            .iter()
            .copied()
            .filter(|kind| schemes.contains(&kind.scheme()))
            .collect();
        if kinds.is_empty() {
            return Err(invalid());
        }
        Ok(Bearer::Key(sha256, kinds))
    }

    /// Looks a key up.
    async fn find(&self, sha256: Sha256, kinds: &[KeyKind]) -> Result<Arc<KeyRow>> {
        let row = keys::find_live(&self.keys, sha256, kinds).await?;
        let row = Arc::new(row.ok_or_else(invalid)?);
        let now = self.clock.now();
        if keys::is_touch_due(row.last_used_at, now) {
            self.touch(&row.id, now).await;
        }
        Ok(row)
    }

    /// A note for people; the request does not depend on it.
    async fn touch(&self, id: &str, now: DateTime<Utc>) {
        let touched = async {
            let mut conn = self.db.connection().await?;
            Ok::<_, Error>(keys::touch(&mut conn, id, now).await?)
        };
        if let Err(error) = touched.await {
            tracing::debug!(%error, "could not note the use of a key");
        }
    }

    fn is_mcp_key(&self, sha256: &[u8; 32]) -> bool {
        let Some(key) = &self.mcp_key else {
            return false;
        };
        aws_lc_rs::constant_time::verify_slices_are_equal(key, sha256).is_ok()
    }
}

/// Refuses a principal whose key lacks the permission; an empty permission asks for nothing. Users and the operator
/// are bound by roles, which the domains check.
pub fn authorize(principal: &Principal, permission: &str) -> Result<()> {
    let lacks = match principal {
        Principal::Key(key) => !key.permissions.iter().any(|held| held == permission),
        Principal::Anonymous => true,
        Principal::User { .. } | Principal::Operator => false,
    };
    if lacks && !permission.is_empty() {
        return Err(Error::forbidden(
            "PERMISSION_MISSING",
            format!("This credential lacks the permission {permission}"),
        ));
    }
    Ok(())
}

fn missing() -> Error {
    Error::unauthenticated(
        "MISSING_CREDENTIAL",
        "A credential is required; see the documentation for which header carries it",
    )
}

/// The refusal of [`Authenticated::WrongAddress`].
pub(crate) fn wrong_address() -> Error {
    Error::forbidden(
        "IP_NOT_ALLOWED",
        "This key may not be used from this address",
    )
}

/// One answer for unknown, revoked, expired and foreign credentials.
pub(crate) fn invalid() -> Error {
    Error::unauthenticated(
        "INVALID_CREDENTIAL",
        "This credential is not valid; check it or ask for a new one",
    )
}

/// The credential of the request that one of the schemes could accept; the Authorization header goes first.
fn presented<'h>(schemes: &[Scheme], headers: &'h HeaderMap) -> Option<Presented<'h>> {
    let takes_bearer = schemes
        .iter()
        .any(|&scheme| scheme != Scheme::TenantKeyHeader && scheme != Scheme::Unspecified);
    let bearer = || {
        headers
            .get(header::AUTHORIZATION)?
            .to_str()
            .ok()
            .and_then(bearer_of)
            .map(Presented::Bearer)
    };
    let header = || {
        let key = headers.get("x-api-key")?.to_str().ok()?.trim();
        is_credential(key).then_some(Presented::ApiKeyHeader(key))
    };
    takes_bearer.then(bearer).flatten().or_else(|| {
        schemes
            .contains(&Scheme::TenantKeyHeader)
            .then(header)
            .flatten()
    })
}

/// RFC 6750: `Bearer`, in any case, spaces, and one word.
fn bearer_of(value: &str) -> Option<&str> {
    let (scheme, credential) = value.trim().split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && is_credential(credential)).then_some(credential)
}

fn is_credential(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_CREDENTIAL_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An empty list allows every address; an entry that is no address matches none.
fn is_ip_allowed(whitelist: &[String], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    whitelist.is_empty()
        || whitelist
            .iter()
            .filter_map(|entry| parse_ip_rule(entry))
            .any(|net| net.contains(&ip))
}

/// An address or a CIDR block.
pub(crate) fn parse_ip_rule(entry: &str) -> Option<IpNet> {
    IpNet::from_str(entry).ok().or_else(|| {
        IpAddr::from_str(entry)
            .ok()
            .map(|ip| IpNet::from(ip.to_canonical()))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn bearer_is_one_word_after_the_scheme_in_any_case() {
        for value in ["Bearer x", "bearer x", "BEARER   x", " Bearer x "] {
            assert_eq!(bearer_of(value), Some("x"), "{value:?}");
        }
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "x",
            "Basic x",
            "Bearerx",
            "Bearer x y",
            "Bearer \u{e9}",
        ] {
            assert_eq!(bearer_of(value), None, "{value:?}");
        }
        assert_eq!(
            bearer_of(&format!("Bearer {}", "x".repeat(MAX_CREDENTIAL_BYTES + 1))),
            None
        );
    }

    #[test]
    fn the_schemes_say_which_header_counts() {
        let both = headers(&[("authorization", "Bearer a"), ("x-api-key", "b")]);
        assert_eq!(
            presented(&[Scheme::TenantKey], &both),
            Some(Presented::Bearer("a"))
        );
        assert_eq!(
            presented(&[Scheme::TenantKeyHeader], &both),
            Some(Presented::ApiKeyHeader("b"))
        );
        let header = headers(&[("x-api-key", "b")]);
        assert_eq!(presented(&[Scheme::TenantKey], &header), None);
        assert_eq!(
            presented(&[Scheme::TenantKey, Scheme::TenantKeyHeader], &header),
            Some(Presented::ApiKeyHeader("b"))
        );
        assert_eq!(
            presented(&[Scheme::TenantKeyHeader], &headers(&[("x-api-key", " ")])),
            None
        );
    }

    #[test]
    fn whitelists_hold_addresses_and_blocks() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let list = |entries: &[&str]| {
            entries
                .iter()
                .map(|entry| (*entry).to_owned())
                .collect::<Vec<_>>()
        };
        assert!(is_ip_allowed(&[], ip("192.0.2.1")));
        assert!(is_ip_allowed(&list(&["192.0.2.1"]), ip("192.0.2.1")));
        assert!(is_ip_allowed(
            &list(&["192.0.2.0/24"]),
            ip("::ffff:192.0.2.77")
        ));
        assert!(is_ip_allowed(
            &list(&["nonsense", "2001:db8::/32"]),
            ip("2001:db8::1")
        ));
        assert!(!is_ip_allowed(&list(&["nonsense"]), ip("192.0.2.1")));
        assert!(!is_ip_allowed(&list(&["192.0.2.0/24"]), ip("192.0.3.1")));
    }

    #[test]
    fn a_permission_is_held_exactly() {
        let key = |permissions: &[&str]| {
            Principal::Key(Arc::new(KeyPrincipal {
                id: "key_1".into(),
                org_id: "org_1".into(),
                user_id: None,
                scheme: Scheme::PaymentKey,
                permissions: permissions.iter().map(|p| (*p).to_owned()).collect(),
                allowed_agents: Vec::new(),
                unconfirmed: None,
            }))
        };
        assert!(authorize(&key(&["payments:read"]), "payments:read").is_ok());
        assert!(authorize(&key(&[]), "").is_ok());
        let refused = authorize(&key(&["payments:read"]), "payments:write").unwrap_err();
        assert_eq!(refused.reason, "PERMISSION_MISSING");
        assert!(refused.message.contains("payments:write"));
        assert!(authorize(&Principal::Anonymous, "payments:read").is_err());
    }
}
