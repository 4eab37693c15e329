//! The query of a GET: the request message and how it is written there.

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use tonic::Status;

use super::encoding;
use crate::{compress::Coding, percent::decode_form};

/// URL-safe, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The parameters, percent-encoded as they came. Of a repeated one the first counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Query<'a> {
    /// The message codec.
    pub(super) encoding: Option<&'a str>,
    message: Option<&'a str>,
    base64: Option<&'a str>,
    compression: Option<&'a str>,
    version: Option<&'a str>,
}

impl<'a> Query<'a> {
    pub(super) fn parse(query: &'a str) -> Self {
        let mut found = Self::default();
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let place = match name {
                "encoding" => &mut found.encoding,
                "message" => &mut found.message,
                "base64" => &mut found.base64,
                "compression" => &mut found.compression,
                "connect" => &mut found.version,
                // Unknown parameters are allowed.
                _ => continue,
            };
            place.get_or_insert(value);
        }
        found
    }

    /// The coding of the message.
    pub(super) fn compression(&self) -> Result<Option<Coding>, Status> {
        encoding::of_request(self.compression.map(str::as_bytes))
    }

    /// The bytes of the message, still compressed.
    pub(super) fn message(&self) -> Result<Vec<u8>, Status> {
        if let Some(version) = self.version.filter(|version| *version != "v1") {
            let shown: String = version.chars().take(50).collect();
            let message = format!("the parameter \"connect\" must be \"v1\", not {shown:?}");
            return Err(Status::invalid_argument(message));
        }
        let text = self
            .message
            .ok_or_else(|| Status::invalid_argument("the parameter \"message\" is missing"))?;
        let text = decode_form(text).ok_or_else(|| {
            let message = "the parameter \"message\" is not UTF-8; binary data must be base64";
            Status::invalid_argument(message)
        })?;
        if self.base64 != Some("1") {
            return Ok(text.into_owned().into_bytes());
        }
        BASE64.decode(text.as_bytes()).map_err(|error| {
            Status::invalid_argument(format!("the parameter \"message\" is not base64: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(query: &str) -> Result<Vec<u8>, String> {
        Query::parse(query)
            .message()
            .map_err(|status| status.message().to_owned())
    }

    #[test]
    fn the_message_is_text_or_base64() {
        assert_eq!(
            message("message=%7B%22a%22:1%7D&encoding=json").unwrap(),
            br#"{"a":1}"#
        );
        assert_eq!(message("base64=1&message=-_8").unwrap(), [0xFB, 0xFF]);
        assert_eq!(message("base64=1&message=-_8%3D").unwrap(), [0xFB, 0xFF]);
        assert_eq!(message("base64=2&message=abcd&other=x").unwrap(), b"abcd");
        assert_eq!(message("message=").unwrap(), b"");
        assert_eq!(message("connect=v1&message=a&message=b").unwrap(), b"a");
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert!(message("encoding=json").unwrap_err().contains("missing"));
        assert!(message("message=%FF").unwrap_err().contains("UTF-8"));
        assert!(
            message("base64=1&message=!")
                .unwrap_err()
                .contains("base64")
        );
        assert!(message("connect=v2&message=").unwrap_err().contains("v1"));
        assert!(Query::parse("compression=snappy").compression().is_err());
    }
}
