//! Content codings (RFC 9110, section 8.4): what a client accepts, replies compressed piece by piece, and request bodies
//! decompressed no further than is taken.

use std::io::{self, Write};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use zstd::stream::raw::{DParameter, Operation};

/// Brotli's quality for replies made on the fly: beyond it the time grows faster than the saving.
const BROTLI_QUALITY: u32 = 4;
/// The usual window of 4 MiB.
const BROTLI_WINDOW_BITS: u32 = 22;
const BROTLI_BUFFER_BYTES: usize = 4096;
/// What is decompressed comes out when this is full or the body ends.
const BROTLI_OUTPUT_BYTES: usize = 64 * 1024;
/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;
/// Windows of up to 8 MiB, which every encoder of the web keeps to (RFC 8878, section 3.1.1.1.2).
const ZSTD_WINDOW_BITS: u32 = 23;
const ZSTD_OUTPUT_BYTES: usize = 16 * 1024;

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// In the order in which they are preferred where the client has no preference: cheapest for what they save first.
    const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    pub(crate) fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        })
    }

    fn is(self, name: &[u8]) -> bool {
        let names: &[&str] = match self {
            Self::Zstd => &["zstd"],
            Self::Brotli => &["br"],
            Self::Gzip => &["gzip", "x-gzip"],
        };
        names
            .iter()
            .any(|n| name.eq_ignore_ascii_case(n.as_bytes()))
    }

    /// The coding of a request's body: none without one, the name where it is not known. Codings on top of each other are
    /// not known either.
    pub(crate) fn of_request(headers: &HeaderMap) -> Result<Option<Self>, Bytes> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else {
            return Ok(None);
        };
        let name = value.as_bytes().trim_ascii();
        if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
            return Ok(None);
        }
        let is_only = headers.get_all(header::CONTENT_ENCODING).iter().count() == 1;
        match Self::ALL.into_iter().find(|coding| coding.is(name)) {
            Some(coding) if is_only => Ok(Some(coding)),
            _ => Err(Bytes::copy_from_slice(name)),
        }
    }

    /// The coding a client prefers; none where it wants the reply as it is.
    pub(crate) fn preferred(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for coding in Self::ALL {
            let quality = quality(headers, coding);
            if quality > 0.0 && best.is_none_or(|(than, _)| quality > than) {
                best = Some((quality, coding));
            }
        }
        best.map(|(_, coding)| coding)
    }
}

fn quality(headers: &HeaderMap, coding: Coding) -> f32 {
    let (mut named, mut any) = (None, None);
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for item in value.as_bytes().split(|b| *b == b',') {
            let mut parts = item.split(|b| *b == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let quality = parts
                .find_map(|p| p.strip_prefix(b"q="))
                .and_then(|q| std::str::from_utf8(q).ok()?.parse().ok())
                .unwrap_or(1.0);
            if coding.is(name) {
                named = Some(quality);
            } else if name == b"*" {
                any = Some(quality);
            }
        }
    }
    named.or(any).unwrap_or(0.0)
}

/// Compresses a reply; what has gone in can come out at once.
pub(crate) enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
}

impl Encoder {
    pub(crate) fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
            Coding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER_BYTES,
                BROTLI_QUALITY,
                BROTLI_WINDOW_BITS,
            ))),
            Coding::Gzip => Self::Gzip(flate2::write::GzEncoder::new(
                Vec::new(),
                flate2::Compression::default(),
            )),
        })
    }

    /// The compressed form of a piece, complete enough to be read without the next.
    pub(crate) fn piece(&mut self, data: &[u8]) -> io::Result<Bytes> {
        let out = match self {
            Self::Zstd(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Self::Brotli(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Self::Gzip(encoder) => {
                encoder.write_all(data)?;
                encoder.flush()?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(out).into())
    }

    /// What ends the compressed reply.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Zstd(encoder) => encoder.finish()?,
            Self::Brotli(encoder) => encoder.into_inner(),
            Self::Gzip(encoder) => encoder.finish()?,
        }
        .into())
    }
}

/// A whole reply, compressed.
pub(crate) fn compress(coding: Coding, data: &[u8]) -> io::Result<Bytes> {
    Ok(match coding {
        Coding::Zstd => zstd::bulk::compress(data, ZSTD_LEVEL)?.into(),
        Coding::Gzip | Coding::Brotli => {
            let mut encoder = Encoder::new(coding)?;
            match &mut encoder {
                Encoder::Gzip(encoder) => encoder.write_all(data)?,
                Encoder::Brotli(encoder) => encoder.write_all(data)?,
                Encoder::Zstd(encoder) => encoder.write_all(data)?,
            }
            encoder.finish()?
        }
    })
}

/// Why a body cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeFault {
    /// One piece of it is more than `limit` bytes.
    TooLong,
    Damaged,
}

/// Decompresses a request body piece by piece.
pub(crate) enum Decoder {
    Zstd(Zstd),
    Brotli(Box<brotli::DecompressorWriter<Bounded>>),
    Gzip(flate2::write::MultiGzDecoder<Bounded>),
}

impl Decoder {
    /// `limit` is the most bytes one piece may expand to.
    pub(crate) fn new(coding: Coding, limit: usize) -> io::Result<Self> {
        let out = Bounded {
            bytes: Vec::new(),
            limit,
            is_full: false,
        };
        Ok(match coding {
            Coding::Zstd => {
                let mut frames = zstd::stream::raw::Decoder::new()?;
                frames.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_BITS))?;
                Self::Zstd(Zstd {
                    frames,
                    out,
                    is_whole: true,
                })
            }
            Coding::Brotli => Self::Brotli(Box::new(brotli::DecompressorWriter::new(
                out,
                BROTLI_OUTPUT_BYTES,
            ))),
            Coding::Gzip => Self::Gzip(flate2::write::MultiGzDecoder::new(out)),
        })
    }

    /// The next piece, decompressed as far as it can be.
    pub(crate) fn piece(&mut self, data: &[u8]) -> Result<Bytes, DecodeFault> {
        let written = match self {
            Self::Zstd(decoder) => decoder.write_all(data),
            Self::Brotli(decoder) => decoder.write_all(data).and_then(|()| decoder.flush()),
            Self::Gzip(decoder) => decoder.write_all(data).and_then(|()| decoder.flush()),
        };
        self.take(written)
    }

    /// The last piece; damaged where the end is missing.
    pub(crate) fn finish(&mut self) -> Result<Bytes, DecodeFault> {
        let written = match self {
            Self::Zstd(decoder) => decoder.finish(),
            Self::Brotli(decoder) => decoder.close(),
            Self::Gzip(decoder) => decoder.try_finish(),
        };
        self.take(written)
    }

    fn take(&mut self, written: io::Result<()>) -> Result<Bytes, DecodeFault> {
        let out = match self {
            Self::Zstd(decoder) => &mut decoder.out,
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Gzip(decoder) => decoder.get_mut(),
        };
        match written {
            _ if out.is_full => Err(DecodeFault::TooLong),
            Ok(()) => Ok(std::mem::take(&mut out.bytes).into()),
            Err(_) => Err(DecodeFault::Damaged),
        }
    }
}

/// Frames of zstd, one after the other.
pub(crate) struct Zstd {
    frames: zstd::stream::raw::Decoder<'static>,
    out: Bounded,
    /// Nothing is missing of the last frame, its checksum least of all. The crate's own writer takes any end for one.
    is_whole: bool,
}

impl Zstd {
    fn write_all(&mut self, mut data: &[u8]) -> io::Result<()> {
        let mut piece = [0; ZSTD_OUTPUT_BYTES];
        loop {
            let had_data = !data.is_empty();
            let step = self.frames.run_on_buffers(data, &mut piece)?;
            data = data.get(step.bytes_read..).unwrap_or_default();
            self.out
                .write_all(piece.get(..step.bytes_written).unwrap_or_default())?;
            // Without data it says what it would like to have next, which is the head of another frame after a whole one.
            if had_data {
                self.is_whole = step.remaining == 0;
            }
            if data.is_empty() && step.bytes_written < piece.len() {
                return Ok(());
            }
        }
    }

    fn finish(&self) -> io::Result<()> {
        self.is_whole
            .then_some(())
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Refuses to take more than it should.
pub(crate) struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + data.len() > self.limit {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|n| b"abcdefgh {}\n"[n * n % 12]).collect()
    }

    #[test]
    fn what_is_compressed_is_decompressed_wherever_it_is_cut() {
        for coding in Coding::ALL {
            let original = text(10_000);
            let mut encoder = Encoder::new(coding).unwrap();
            let mut stream = encoder.piece(&original[..5000]).unwrap().to_vec();
            let first = stream.len();
            stream.extend(encoder.piece(&original[5000..]).unwrap());
            stream.extend(encoder.finish().unwrap());
            for size in [1, 7, first, stream.len()] {
                let mut decoder = Decoder::new(coding, 20_000).unwrap();
                let mut out = Vec::new();
                for piece in stream.chunks(size) {
                    out.extend(decoder.piece(piece).unwrap());
                    if size == first && out.len() < 10_000 {
                        assert_eq!(out.len(), 5000, "{coding:?}: a piece stands alone");
                    }
                }
                out.extend(decoder.finish().unwrap());
                assert!(out == original, "{coding:?} in pieces of {size}");
            }
            let whole = compress(coding, &original).unwrap();
            let mut decoder = Decoder::new(coding, 20_000).unwrap();
            let mut out = decoder.piece(&whole).unwrap().to_vec();
            out.extend(decoder.finish().unwrap());
            assert!(out == original, "{coding:?}");
        }
    }

    #[test]
    fn bombs_and_rubbish_are_refused() {
        for coding in Coding::ALL {
            let bomb = compress(coding, &vec![0; 5_000_000]).unwrap();
            let mut decoder = Decoder::new(coding, 1000).unwrap();
            assert_eq!(
                decoder.piece(&bomb),
                Err(DecodeFault::TooLong),
                "{coding:?}"
            );
            let mut decoder = Decoder::new(coding, 1000).unwrap();
            let rubbish = decoder.piece(b"this is not compressed at all");
            let rubbish = rubbish.and_then(|_| decoder.finish());
            assert_eq!(rubbish, Err(DecodeFault::Damaged), "{coding:?}");
        }
    }

    #[test]
    fn what_is_cut_off_is_damaged() {
        for coding in Coding::ALL {
            let whole = compress(coding, &text(10_000)).unwrap();
            for length in 1..whole.len() {
                let mut decoder = Decoder::new(coding, 20_000).unwrap();
                let cut = decoder.piece(&whole[..length]);
                let cut = cut.and_then(|_| decoder.finish());
                assert_eq!(cut, Err(DecodeFault::Damaged), "{coding:?} {length}");
            }
            // One after the other, as tools append them.
            if coding == Coding::Zstd {
                let twice = [&whole[..], &whole[..]].concat();
                let mut decoder = Decoder::new(coding, 20_000).unwrap();
                assert_eq!(decoder.piece(&twice).unwrap().len(), 20_000);
                assert_eq!(decoder.finish(), Ok(Bytes::new()));
            }
        }
    }

    #[test]
    fn the_client_chooses_the_coding() {
        let cases = [
            ("", None),
            ("gzip", Some(Coding::Gzip)),
            ("gzip, deflate, br", Some(Coding::Brotli)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("br;q=0.5, gzip;q=0.8", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("*, zstd;q=0", Some(Coding::Brotli)),
            ("identity", None),
            ("gzip;q=0", None),
        ];
        for (text, expected) in cases {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, text.parse().unwrap())]);
            assert_eq!(Coding::preferred(&headers), expected, "{text:?}");
        }
    }
}
