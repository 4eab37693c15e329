//! Content codings: of a message that came, and of those that go.
//!
//! Requests may be gzip, which every Connect client can write. Replies are compressed as the client prefers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use tonic::Status;

use crate::compress::{self, Coding};

/// Below this many bytes compression saves nothing worth its time.
const WORTH_BYTES: usize = 1024;

/// The coding of a request by its name; none for a message as it is.
pub(super) fn of_request(name: Option<&[u8]>) -> Result<Option<Coding>, Status> {
    match name.unwrap_or_default().trim_ascii() {
        b"" | b"identity" => Ok(None),
        b"gzip" => Ok(Some(Coding::Gzip)),
        other => {
            let shown: String = String::from_utf8_lossy(other).chars().take(50).collect();
            Err(Status::unimplemented(format!(
                "the compression {shown:?} is not known; use gzip or identity"
            )))
        }
    }
}

/// The first coding of the client's list that can be written. Without a list it is the request's.
pub(super) fn of_reply(
    headers: &HeaderMap,
    list: &HeaderName,
    request: Option<Coding>,
) -> Option<Coding> {
    let mut lists = headers.get_all(list).iter().peekable();
    if lists.peek().is_none() {
        return request;
    }
    lists
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|item| {
            let (name, weight) = item.split_once(';').unwrap_or((item, ""));
            // The document knows no weights; a browser's "never" is understood all the same.
            let weight = weight.trim().trim_start_matches("q=");
            if weight.parse() == Ok(0.0) {
                return None;
            }
            match name.trim() {
                "gzip" => Some(Some(Coding::Gzip)),
                "br" => Some(Some(Coding::Brotli)),
                "zstd" => Some(Some(Coding::Zstd)),
                "identity" => Some(None),
                _ => None,
            }
        })
        .flatten()
}

/// The compressed bytes; none where they are better sent as they are.
pub(super) fn compress(coding: Option<Coding>, bytes: &[u8]) -> Option<Bytes> {
    if bytes.len() < WORTH_BYTES {
        return None;
    }
    let compressed = compress::compress(coding?, bytes).ok()?;
    (compressed.len() < bytes.len()).then_some(compressed)
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT_ENCODING;

    use super::*;

    #[test]
    fn the_reply_takes_the_first_coding_of_the_list_that_is_known() {
        let cases = [
            ("gzip", Some(Coding::Gzip)),
            ("snappy, br", Some(Coding::Brotli)),
            ("zstd,gzip", Some(Coding::Zstd)),
            ("identity, gzip", None),
            ("gzip;q=0, identity", None),
            ("gzip;q=0.5", Some(Coding::Gzip)),
            ("snappy", None),
            ("", None),
        ];
        for (list, expected) in cases {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, list.parse().unwrap())]);
            let chosen = of_reply(&headers, &ACCEPT_ENCODING, Some(Coding::Gzip));
            assert_eq!(chosen, expected, "{list}");
        }
        let chosen = of_reply(&HeaderMap::new(), &ACCEPT_ENCODING, Some(Coding::Gzip));
        assert_eq!(
            chosen,
            Some(Coding::Gzip),
            "without a list it is the request's"
        );
    }

    #[test]
    fn only_what_shrinks_is_compressed() {
        assert!(compress(Some(Coding::Gzip), &[b'a'; 10]).is_none());
        assert!(compress(None, &[b'a'; 9000]).is_none());
        let shorter = compress(Some(Coding::Gzip), &[b'a'; 9000]);
        assert!(shorter.is_some_and(|c| c.len() < 200));
    }
}
