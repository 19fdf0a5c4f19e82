// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ramdisks: what one is, and whether it is whole.
//!
//! A truncated initramfs is the fault that shows last: the domain is built,
//! starts, and dies somewhere in its own init. So each archive that can be
//! recognised is read to its end here, through every checksum it carries. What
//! is not recognised may still be a ramdisk for a kernel that is not Linux; it
//! is let through and said to be unknown.
//!
//! A Linux initramfs is a row of newc archives, each plain or in a compressed
//! stream, with zeros between them (Linux
//! `Documentation/driver-api/early-userspace/buffer-format.rst`).

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::compression::{self, Compression};
use crate::newc::{self, Members, is_newc};

/// What a ramdisk is made of. Displays as `cpio`, `cpio, zstd cpio`, `unknown`.
///
/// Holding one proves that every part that could be recognised is complete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ramdisk {
    /// The parts in order; at least one.
    pub parts: Vec<Part>,
}

/// One part of a ramdisk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part {
    /// Where it begins in the file.
    pub offset: usize,
    /// What it is compressed with.
    pub compression: Option<Compression>,
    /// How many complete newc archives it is, or holds. None: its content is
    /// unknown.
    pub archives: usize,
}

impl Ramdisk {
    /// Whether the content of every part was recognised and found complete.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.parts.iter().all(|part| part.archives > 0)
    }
}

/// Reads a ramdisk to its end.
///
/// # Errors
/// It is empty, or a part that was recognised is truncated or corrupt.
pub fn inspect(bytes: &[u8]) -> Result<Ramdisk, Error> {
    walk(bytes, drop)
}

/// The ramdisk as one plain newc archive: itself if it is one, otherwise all
/// members of all archives, decompressed, in order.
///
/// # Errors
/// As [`inspect`]; also if a part is not a newc archive.
pub fn unpacked(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    let mut archives = Vec::new();
    let ramdisk = walk(bytes, |archive| archives.push(archive))?;
    if let Some(part) = ramdisk.parts.iter().find(|part| part.archives == 0) {
        return Err(Error::NotCpio {
            offset: part.offset,
        });
    }
    match ramdisk.parts.as_slice() {
        [
            Part {
                offset: 0,
                compression: None,
                archives: 1,
            },
        ] => Ok(Cow::Borrowed(bytes)),
        [Part { archives: 1, .. }] => Ok(archives.swap_remove(0)),
        _ => merged(&archives).map(Cow::Owned),
    }
}

/// Goes through the parts and hands each row of complete archives, no longer
/// compressed, to `archives`.
fn walk<'a>(bytes: &'a [u8], mut archives: impl FnMut(Cow<'a, [u8]>)) -> Result<Ramdisk, Error> {
    let mut parts: Vec<Part> = Vec::new();
    let mut at = skip_zeros(bytes, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let compression = Compression::of(rest);
        if !at.is_multiple_of(4)
            && (is_newc(rest) || parts.last().is_some_and(|part| part.compression.is_none()))
        {
            return Err(Error::Alignment { offset: at });
        }
        let mut part = Part {
            offset: at,
            compression,
            archives: 0,
        };
        if is_newc(rest) {
            let end = archive_end(bytes, at).map_err(Error::Cpio)?;
            archives(Cow::Borrowed(&bytes[at..end]));
            part.archives = 1;
            at = end;
        } else if let Some(compression) = compression.filter(|found| *found != Compression::Lzo) {
            let inside = |source| Error::Stream {
                offset: part.offset,
                source,
            };
            let stream = compression.decode(rest, MAX_BYTES).map_err(inside)?;
            let inside = |source| Error::InStream {
                offset: part.offset,
                compression,
                source,
            };
            part.archives = count_archives(&stream.bytes).map_err(inside)?;
            if part.archives > 0 {
                archives(Cow::Owned(stream.bytes));
            }
            at += stream.consumed;
        } else if parts.is_empty() || compression.is_some() {
            at = bytes.len();
        } else {
            return Err(Error::Junk { offset: at });
        }
        match parts.last_mut() {
            // A row of plain archives is one part.
            Some(last) if last.compression.is_none() && part.compression.is_none() => {
                last.archives += part.archives;
            }
            _ => parts.push(part),
        }
        at = skip_zeros(bytes, at);
    }
    if parts.is_empty() {
        Err(Error::Empty { bytes: bytes.len() })
    } else {
        Ok(Ramdisk { parts })
    }
}

/// How many complete archives `bytes` is a row of; none if it does not begin
/// with one.
fn count_archives(bytes: &[u8]) -> Result<usize, newc::Error> {
    let mut at = skip_zeros(bytes, 0);
    let mut count = 0;
    if is_newc(&bytes[at..]) {
        while at < bytes.len() {
            at = skip_zeros(bytes, archive_end(bytes, at)?);
            count += 1;
        }
    }
    Ok(count)
}

fn archive_end(bytes: &[u8], at: usize) -> Result<usize, newc::Error> {
    let mut members = Members::new(bytes, at);
    members.by_ref().try_for_each(|member| member.map(drop))?;
    Ok(members.end().expect(ENDS))
}

fn skip_zeros(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|byte| **byte == 0).count()
}

/// The members of rows of archives as one archive. Inodes are numbered anew,
/// because equal numbers of two archives do not mean one file.
fn merged(rows: &[Cow<'_, [u8]>]) -> Result<Vec<u8>, Error> {
    let mut merged = Vec::new();
    let mut inodes = 0_u32;
    for row in rows {
        let mut at = skip_zeros(row, 0);
        while at < row.len() {
            let mut numbers: BTreeMap<(u32, (u32, u32)), u32> = BTreeMap::new();
            let mut members = Members::new(row, at);
            while let Some(member) = members.next().transpose().map_err(Error::Cpio)? {
                let ino = *numbers.entry((member.ino, member.dev)).or_insert_with(|| {
                    inodes = inodes.wrapping_add(1);
                    inodes
                });
                let start = merged.len();
                merged.extend_from_slice(member.raw);
                merged[start + 6..start + 14].copy_from_slice(format!("{ino:08x}").as_bytes());
            }
            at = skip_zeros(row, members.end().expect(ENDS));
        }
    }
    Ok(cpio::newc::trailer(merged).expect("a Vec takes every write"))
}

impl fmt::Display for Ramdisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            match (part.compression, part.archives > 0) {
                (Some(compression), true) => write!(f, "{compression} cpio")?,
                (Some(compression), false) => write!(f, "{compression} of something unknown")?,
                (None, true) => f.write_str("cpio")?,
                (None, false) => f.write_str("unknown")?,
            }
        }
        Ok(())
    }
}

/// Why something is not a whole ramdisk.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing in it.
    #[error("ramdisk is empty: {bytes} bytes, none but zeros")]
    Empty {
        /// Its length.
        bytes: usize,
    },
    /// A plain archive is not whole.
    #[error("ramdisk is not whole\nhint: copy or make the ramdisk again")]
    Cpio(#[source] newc::Error),
    /// A compressed stream is not whole.
    #[error("ramdisk's part at byte {offset} is not whole\nhint: copy or make the ramdisk again")]
    Stream {
        /// Where the stream begins.
        offset: usize,
        /// What is wrong with it.
        source: compression::Error,
    },
    /// An archive in a compressed stream is not whole.
    #[error("ramdisk's {compression} stream at byte {offset} holds no whole archive")]
    InStream {
        /// Where the stream begins.
        offset: usize,
        /// Its compression.
        compression: Compression,
        /// What is wrong; offsets count in the decompressed bytes.
        source: newc::Error,
    },
    /// Something follows that Linux would stumble over.
    #[error("ramdisk goes on at byte {offset} with something that is no archive")]
    Junk {
        /// Where.
        offset: usize,
    },
    /// A part begins where Linux does not look for one.
    #[error(
        "ramdisk's part at byte {offset} does not begin at a multiple of four\nhint: pad the parts with zeros when joining them"
    )]
    Alignment {
        /// Where.
        offset: usize,
    },
    /// Only archives can be unpacked.
    #[error(
        "ramdisk's part at byte {offset} is not a cpio archive\nhint: the control domain's root is a newc archive, plain or compressed with gzip, bzip2, xz, zstd, lzma or lz4"
    )]
    NotCpio {
        /// Where.
        offset: usize,
    },
}

/// What one compressed part may expand to.
const MAX_BYTES: usize = 1 << 30;
const ENDS: &str = "members without an error end with the trailer";
