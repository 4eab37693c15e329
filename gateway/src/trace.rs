//! Trace context (W3C, level 1): which `traceparent` is one, and the trace it names.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Which trace a request belongs to, and its place in it.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What vendors add to it, of no meaning without it.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace that a request belongs to, in 32 hexadecimal digits; none where its `traceparent` is not exactly one and valid.
pub fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let (only, None) = (given.next()?, given.next()) else {
        return None;
    };
    read(only)
}

/// Whether it is one. Of later versions only what the first one has is looked at.
pub(crate) fn is_valid(traceparent: &HeaderValue) -> bool {
    read(traceparent).is_some()
}

fn read(traceparent: &HeaderValue) -> Option<&str> {
    let text = traceparent.to_str().ok()?;
    let (head, rest) = text.split_at_checked(55)?;
    let mut parts = head.split('-');
    let version = parts.next().filter(|part| is_hex(part, 2))?;
    let trace = parts.next().filter(|part| is_id(part, 32))?;
    parts.next().filter(|part| is_id(part, 16))?;
    parts.next().filter(|part| is_hex(part, 2))?;
    let is_whole = match version {
        "ff" => false,
        "00" => rest.is_empty(),
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    (parts.next().is_none() && is_whole).then_some(trace)
}

fn is_hex(part: &str, length: usize) -> bool {
    part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Nothing but zeros is nobody's id.
fn is_id(part: &str, length: usize) -> bool {
    is_hex(part, length) && part.bytes().any(|b| b != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn id(values: &[&str]) -> Option<String> {
        let values = values.iter().map(|value| HeaderValue::from_str(value));
        let headers: HeaderMap = values.map(|v| (TRACEPARENT, v.unwrap())).collect();
        trace_id(&headers).map(str::to_owned)
    }

    #[test]
    fn the_trace_is_the_second_part() {
        let trace = Some("0af7651916cd43dd8448eb211c80319c".to_owned());
        assert_eq!(id(&[GOOD]), trace);
        assert_eq!(id(&[&GOOD.replace("00-", "01-")]), trace);
        assert_eq!(id(&[&(GOOD.replace("00-", "cc-") + "-what-comes")]), trace);
    }

    #[test]
    fn what_is_not_exactly_one_is_none() {
        let bad = [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}0"),
            &format!("{GOOD}-00"),
            &format!("{}x", GOOD.replace("00-", "cc-")),
            &GOOD.replace("00-", "ff-"),
            &GOOD.replace("0af", "0AF"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("-01", "-0g"),
            &GOOD.replace("-01", "_01"),
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
        ];
        for value in bad {
            assert_eq!(id(&[value]), None, "{value}");
        }
        assert_eq!(id(&[GOOD, GOOD]), None);
        assert_eq!(id(&[]), None);
    }
}
