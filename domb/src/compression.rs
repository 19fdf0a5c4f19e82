// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Compressed streams, as kernels, ramdisks and kernel modules carry them.
//!
//! One place knows the magic numbers and the decoders. A stream is trusted
//! only when it decodes to its end and its own checksums agree; the output is
//! bounded by the caller, so that a few kilobytes cannot become the machine's
//! memory. lzop streams are recognised and refused: libxl as Debian builds it
//! cannot take them either.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Read};

use lzma_rust2::{Action, LzmaStream, Status, StreamResult, XzStream};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use serde::{Deserialize, Serialize};

/// A compression that begins with a magic number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// The .xz container, with the branch converters that kernels use.
    Xz,
    /// RFC 8878.
    Zstd,
    /// The older .lzma container ("LZMA alone").
    Lzma,
    /// LZ4's legacy frame, the one that Linux and Xen read.
    Lz4,
    /// lzop; recognised only.
    Lzo,
}

/// What one stream decoded to.
#[derive(Debug)]
pub struct Decoded {
    /// The decompressed bytes.
    pub bytes: Vec<u8>,
    /// How many bytes of the input the stream took.
    pub consumed: usize,
}

/// Why a stream did not decode. Offsets count from the stream's first byte.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input ended before the stream did.
    #[error("{format} stream is truncated: it goes on after its last byte, {at}")]
    Truncated {
        /// The stream's format.
        format: Compression,
        /// Where the input ends.
        at: usize,
    },
    /// The stream contradicts its format or a checksum.
    #[error("{format} stream is corrupt at or before byte {at}")]
    Corrupt {
        /// The stream's format.
        format: Compression,
        /// How far the decoder had read.
        at: usize,
        /// What the decoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The output would exceed the caller's bound.
    #[error("{format} stream expands to more than the {limit} bytes allowed")]
    TooLarge {
        /// The stream's format.
        format: Compression,
        /// The bound.
        limit: usize,
    },
    /// There is no decoder.
    #[error("{format} streams are not supported")]
    Unsupported {
        /// The stream's format.
        format: Compression,
    },
}

impl Compression {
    /// The compression whose magic number `bytes` begins with
    /// (`xg_dom_bzimageloader.c`, Linux `lib/decompress.c`).
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Compression> {
        MAGIC
            .iter()
            .find(|(magic, _)| bytes.starts_with(magic))
            .map(|(_, format)| *format)
    }

    /// Decodes the one stream that `input` begins with, to its end and with
    /// its checksums, into at most `limit` bytes.
    ///
    /// # Errors
    /// The stream is truncated, corrupt, too large or of a format without a
    /// decoder.
    pub fn decode(self, input: &[u8], limit: usize) -> Result<Decoded, Error> {
        let mut sink = Sink {
            bytes: Vec::new(),
            limit,
        };
        let mut at = 0;
        let result = match self {
            Compression::Gzip => gzip(input, &mut at, &mut sink),
            Compression::Bzip2 => bzip2(input, &mut at, &mut sink),
            Compression::Xz => {
                let mut stream = XzStream::new_mem_limit(false, MEMORY_LIMIT_KIB);
                lzma(input, &mut at, &mut sink, |i, o| {
                    stream.process(i, o, Action::Finish)
                })
            }
            Compression::Zstd => zstd(input, &mut at, &mut sink),
            Compression::Lzma => {
                let mut stream = LzmaStream::new_mem_limit(MEMORY_LIMIT_KIB, None);
                let step = |i: &[u8], o: &mut [u8]| stream.process(i, o, Action::Finish);
                let result = lzma(input, &mut at, &mut sink, step);
                at -= stream.unused_input().len().min(at);
                result
            }
            Compression::Lz4 => lz4_legacy(input, &mut at, &mut sink),
            Compression::Lzo => return Err(Error::Unsupported { format: self }),
        };
        match result {
            Ok(()) => Ok(Decoded {
                bytes: sink.bytes,
                consumed: at,
            }),
            Err(fault) => Err(fault.at(self, at, limit)),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::Gzip => "gzip",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
            Compression::Zstd => "zstd",
            Compression::Lzma => "lzma",
            Compression::Lz4 => "lz4",
            Compression::Lzo => "lzo",
        })
    }
}

/// What a decoder found, before it is known where.
enum Fault {
    Truncated,
    TooLarge,
    Corrupt(Box<dyn std::error::Error + Send + Sync>),
}

impl Fault {
    fn corrupt(what: &str) -> Fault {
        Fault::Corrupt(what.into())
    }

    fn at(self, format: Compression, at: usize, limit: usize) -> Error {
        match self {
            Fault::Truncated => Error::Truncated { format, at },
            Fault::TooLarge => Error::TooLarge { format, limit },
            Fault::Corrupt(source) => Error::Corrupt { format, at, source },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Truncated,
            _ => Fault::Corrupt(error.into()),
        }
    }
}

/// The output, which never grows past its limit.
struct Sink {
    bytes: Vec<u8>,
    limit: usize,
}

impl Sink {
    fn put(&mut self, more: &[u8]) -> Result<(), Fault> {
        if more.len() > self.limit - self.bytes.len() {
            return Err(Fault::TooLarge);
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    fn drain(&mut self, mut reader: impl Read) -> Result<(), Fault> {
        let mut chunk = vec![0; CHUNK];
        loop {
            match reader.read(&mut chunk)? {
                0 => return Ok(()),
                n => self.put(&chunk[..n])?,
            }
        }
    }
}

fn gzip(input: &[u8], at: &mut usize, sink: &mut Sink) -> Result<(), Fault> {
    let mut decoder = flate2::bufread::GzDecoder::new(input);
    let result = sink.drain(&mut decoder);
    *at = input.len() - decoder.get_ref().len();
    result
}

fn bzip2(input: &[u8], at: &mut usize, sink: &mut Sink) -> Result<(), Fault> {
    let mut decoder = bzip2::bufread::BzDecoder::new(input);
    let result = sink.drain(&mut decoder);
    *at = input.len() - decoder.get_ref().len();
    result
}

fn lzma(
    input: &[u8],
    at: &mut usize,
    sink: &mut Sink,
    mut process: impl FnMut(&[u8], &mut [u8]) -> io::Result<StreamResult>,
) -> Result<(), Fault> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let step = match process(&input[*at..], &mut chunk) {
            Ok(step) => step,
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                return Err(Fault::corrupt("the dictionary needs more than 256 MiB"));
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    *at = input.len();
                }
                return Err(error.into());
            }
        };
        *at += step.bytes_consumed;
        sink.put(&chunk[..step.bytes_produced])?;
        if step.status == Status::StreamEnd {
            return Ok(());
        }
        if step.bytes_consumed == 0 && step.bytes_produced == 0 {
            return Err(Fault::Truncated);
        }
    }
}

fn zstd(input: &[u8], at: &mut usize, sink: &mut Sink) -> Result<(), Fault> {
    let mut rest = input;
    let mut decoder = FrameDecoder::new();
    let result = zstd_frame(&mut decoder, &mut rest, sink);
    *at = input.len() - rest.len();
    result
}

fn zstd_frame(decoder: &mut FrameDecoder, rest: &mut &[u8], sink: &mut Sink) -> Result<(), Fault> {
    decoder
        .reset(&mut *rest)
        .map_err(|error| zstd_fault(&error))?;
    loop {
        let step = BlockDecodingStrategy::UptoBytes(ZSTD_STEP);
        let finished = decoder
            .decode_blocks(&mut *rest, step)
            .map_err(|error| zstd_fault(&error))?;
        if let Some(bytes) = decoder.collect() {
            sink.put(&bytes)?;
        }
        if finished {
            break;
        }
    }
    let stored = decoder.get_checksum_from_data();
    if stored.is_some() && stored != decoder.get_calculated_checksum() {
        return Err(Fault::corrupt(
            "the frame's checksum does not match its content",
        ));
    }
    match decoder.content_size() {
        0 => Ok(()), // the frame does not say
        size if size == sink.bytes.len() as u64 => Ok(()),
        size => Err(Fault::Corrupt(
            format!(
                "the frame announces {size} bytes and holds {}",
                sink.bytes.len()
            )
            .into(),
        )),
    }
}

fn zstd_fault(error: &(dyn std::error::Error + 'static)) -> Fault {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::UnexpectedEof
        {
            return Fault::Truncated;
        }
        cause = error.source();
    }
    // The error itself is not Send; its words are all that is of use.
    Fault::Corrupt(error.to_string().into())
}

/// A magic number, then blocks of at most 8 MiB, each after its compressed
/// length; ends with the input or at zero padding, as Linux
/// `lib/decompress_unlz4.c` reads it.
fn lz4_legacy(input: &[u8], at: &mut usize, sink: &mut Sink) -> Result<(), Fault> {
    let mut block = vec![0; LZ4_BLOCK];
    while *at < input.len() {
        let Some(word) = input[*at..].first_chunk::<4>() else {
            return if input[*at..].iter().all(|byte| *byte == 0) {
                Ok(())
            } else {
                Err(Fault::Truncated)
            };
        };
        let length = match *word {
            LZ4_MAGIC => {
                *at += 4;
                continue;
            }
            length => u32::from_le_bytes(length) as usize,
        };
        match length {
            0 => return Ok(()),
            length if length > LZ4_BLOCK_BOUND => {
                return Err(Fault::Corrupt(format!("a block of {length} bytes").into()));
            }
            _ => {}
        }
        let Some(compressed) = input[*at + 4..].get(..length) else {
            *at = input.len();
            return Err(Fault::Truncated);
        };
        let size = lz4_flex::block::decompress_into(compressed, &mut block)
            .map_err(|error| Fault::Corrupt(error.to_string().into()))?;
        sink.put(&block[..size])?;
        *at += 4 + length;
    }
    Ok(())
}

const MAGIC: [(&[u8], Compression); 7] = [
    (&[0x1f, 0x8b], Compression::Gzip),
    (b"BZh", Compression::Bzip2),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Compression::Xz),
    (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
    (&[0x5d, 0x00], Compression::Lzma),
    (&LZ4_MAGIC, Compression::Lz4),
    (&[0x89, b'L', b'Z', b'O'], Compression::Lzo),
];

/// 0x184C2102, little endian.
const LZ4_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
const LZ4_BLOCK: usize = 8 << 20;
/// What an incompressible block of 8 MiB may grow to (`LZ4_compressBound`).
const LZ4_BLOCK_BOUND: usize = LZ4_BLOCK + LZ4_BLOCK / 255 + 16;
const CHUNK: usize = 64 << 10;
const ZSTD_STEP: usize = 1 << 20;
/// The decoder memory that libxl allows for xz and lzma.
const MEMORY_LIMIT_KIB: u32 = 256 << 10;
