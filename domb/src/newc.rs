// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading newc cpio archives, strictly.
//!
//! Linux skips over what it does not understand in an initramfs and boots on
//! with half a root. domb names the byte instead. Nothing in an archive is
//! trusted: every length is checked against what is there. The rules are those
//! of Linux `init/initramfs.c` and
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::fmt;

/// One member of an archive. Holding one proves that its header, name and
/// content are whole, and its checksum right where it has one.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Name as stored, without the terminating NUL.
    pub name: &'a [u8],
    /// Kind and permissions, as in `st_mode`.
    pub mode: u32,
    /// How many names it has.
    pub links: u32,
    /// Content; a symbolic link's target.
    pub data: &'a [u8],
    /// Inode number.
    pub ino: u32,
    /// Device the archive was made from, major and minor.
    pub dev: (u32, u32),
    /// The whole member as stored: header, name, content, padding.
    pub raw: &'a [u8],
}

/// Whether `bytes` begin with a newc member.
#[must_use]
pub fn is_newc(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) || bytes.starts_with(MAGIC_CRC)
}

/// The members of the one archive that begins at a given offset, in order,
/// without its trailer.
#[derive(Debug)]
pub struct Members<'a> {
    bytes: &'a [u8],
    at: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Inside,
    Complete,
    Failed,
}

impl<'a> Members<'a> {
    /// Starts reading at `at`. Alignment counts from the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], at: usize) -> Members<'a> {
        Members {
            bytes,
            at,
            state: State::Inside,
        }
    }

    /// Where the archive ends, trailer included: known once the iterator has
    /// come to its end without an error.
    #[must_use]
    pub fn end(&self) -> Option<usize> {
        (self.state == State::Complete).then_some(self.at)
    }

    fn step(&mut self) -> Result<Option<Member<'a>>, Error> {
        let offset = self.at;
        if offset >= self.bytes.len() {
            return Err(Error::NoTrailer {
                at: self.bytes.len(),
            });
        }
        let header = self.take(HEADER, offset, "header")?;
        if !is_newc(header) {
            return Err(Error::NoHeader { offset });
        }
        let field = |index: usize| hex(&header[6 + 8 * index..14 + 8 * index], offset);
        let name_size = field(11)? as usize;
        if !(1..=PATH_MAX).contains(&name_size) {
            return Err(Error::NameSize {
                offset,
                size: name_size,
            });
        }
        let Some((0, name)) = self
            .take(name_size, offset, "name")?
            .split_last()
            .map(|(l, n)| (*l, n))
        else {
            return Err(Error::NameEnd { offset });
        };
        self.align(offset)?;
        let data = self.take(field(6)? as usize, offset, "content")?;
        if name == TRAILER {
            self.state = State::Complete;
            return Ok(None);
        }
        self.align(offset)?;
        let sum = data
            .iter()
            .fold(0_u32, |sum, byte| sum.wrapping_add(u32::from(*byte)));
        if header.starts_with(MAGIC_CRC) && field(12)? != sum {
            return Err(Error::Checksum {
                offset,
                name: Name::of(name),
            });
        }
        for index in 0..FIELDS {
            field(index)?;
        }
        Ok(Some(Member {
            name,
            mode: field(1)?,
            links: field(4)?,
            data,
            ino: field(0)?,
            dev: (field(7)?, field(8)?),
            raw: &self.bytes[offset..self.at],
        }))
    }

    fn take(
        &mut self,
        length: usize,
        offset: usize,
        what: &'static str,
    ) -> Result<&'a [u8], Error> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..length).ok_or(Error::Truncated {
            offset,
            what,
            needs: length,
            has: rest.len(),
        })?;
        self.at += length;
        Ok(taken)
    }

    fn align(&mut self, offset: usize) -> Result<(), Error> {
        self.take(self.at.wrapping_neg() % 4, offset, "padding")
            .map(drop)
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state != State::Inside {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.state = State::Failed;
        }
        step.transpose()
    }
}

fn hex(digits: &[u8], offset: usize) -> Result<u32, Error> {
    let text = std::str::from_utf8(digits)
        .ok()
        .filter(|text| !text.starts_with('+'));
    text.and_then(|text| u32::from_str_radix(text, 16).ok())
        .ok_or(Error::Number { offset })
}

/// A member's name for a message: what is not printable is escaped.
#[derive(Debug)]
pub struct Name(String);

impl Name {
    fn of(name: &[u8]) -> Name {
        Name(name.escape_ascii().to_string())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an archive is not whole. Offsets name the member's header.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes end inside a member.
    #[error(
        "cpio archive is truncated: the {what} of the member at byte {offset} needs {needs} bytes, {has} are there"
    )]
    Truncated {
        /// The member.
        offset: usize,
        /// The part that is not whole.
        what: &'static str,
        /// What it needs.
        needs: usize,
        /// What is left.
        has: usize,
    },
    /// The bytes end between two members.
    #[error("cpio archive is truncated: it ends at byte {at} without its trailer")]
    NoTrailer {
        /// Where it ends.
        at: usize,
    },
    /// There is something else where a member has to begin.
    #[error("cpio archive is corrupt: no member begins at byte {offset}")]
    NoHeader {
        /// Where.
        offset: usize,
    },
    /// A header's field is not eight hexadecimal digits.
    #[error(
        "cpio archive is corrupt: the header at byte {offset} holds something that is not a number"
    )]
    Number {
        /// The member.
        offset: usize,
    },
    /// A name is empty or longer than a path can be.
    #[error("cpio archive is corrupt: the member at byte {offset} has a name of {size} bytes")]
    NameSize {
        /// The member.
        offset: usize,
        /// The length in the header.
        size: usize,
    },
    /// A name lacks its NUL.
    #[error(
        "cpio archive is corrupt: the name of the member at byte {offset} does not end where it should"
    )]
    NameEnd {
        /// The member.
        offset: usize,
    },
    /// The content is not what was archived.
    #[error(
        "cpio archive is corrupt: the checksum of {name} at byte {offset} does not match its content"
    )]
    Checksum {
        /// The member.
        offset: usize,
        /// Its name.
        name: Name,
    },
}

const MAGIC: &[u8] = b"070701";
const MAGIC_CRC: &[u8] = b"070702";
const TRAILER: &[u8] = b"TRAILER!!!";
const HEADER: usize = 110;
/// Numbers in a header, the checksum included.
const FIELDS: usize = 13;
const PATH_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TINY: &[u8] = include_bytes!("../../tests/fixtures/ramdisk/tiny.cpio");

    fn read(bytes: &[u8]) -> Result<Vec<Member<'_>>, Error> {
        Members::new(bytes, 0).collect()
    }

    #[test]
    fn the_members_of_gnu_cpios_archive_are_read_in_order() {
        let mut members = Members::new(TINY, 0);
        let read: Vec<_> = members.by_ref().map(Result::unwrap).collect();
        let names: Vec<_> = read
            .iter()
            .map(|member| member.name.escape_ascii().to_string())
            .collect();
        assert_eq!(names, ["etc", "etc/issue", "lines", "link"]);
        assert_eq!(
            read.iter()
                .map(|member| member.raw.len())
                .collect::<Vec<_>>(),
            [116, 152, 1876, 128]
        );
        assert_eq!(read[1].data, b"a domain ramdisk of the tests\n");
        assert_eq!(read[3].data, b"etc/issue");
        assert!(
            members
                .end()
                .is_some_and(|end| TINY[end..].iter().all(|byte| *byte == 0))
        );
    }

    #[test]
    fn an_archive_cut_anywhere_is_truncated() {
        let mut whole = Members::new(TINY, 0);
        assert!(whole.by_ref().all(|member| member.is_ok()));
        for length in 0..whole.end().unwrap() {
            let error = read(&TINY[..length]).unwrap_err().to_string();
            assert!(
                error.starts_with("cpio archive is truncated"),
                "{length}: {error}"
            );
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        let error = read(&TINY[..600]).unwrap_err().to_string();
        assert!(
            error.contains("the content of the member at byte 268 needs 1760 bytes"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_checksum_of_the_crc_format_is_found() {
        let mut archive = TINY.to_vec();
        archive[..6].copy_from_slice(MAGIC_CRC);
        assert_eq!(read(&archive).unwrap().len(), 4); // a directory sums to 0
        archive[102..110].copy_from_slice(b"00000001");
        let error = read(&archive).unwrap_err().to_string();
        assert!(error.contains("checksum of etc at byte 0"), "{error}");
    }

    #[test]
    fn a_number_with_a_sign_is_no_number() {
        let mut archive = TINY.to_vec();
        archive[6..14].copy_from_slice(b"+0000001");
        assert!(matches!(read(&archive), Err(Error::Number { offset: 0 })));
    }

    proptest! {
        #[test]
        fn no_change_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut archive = TINY.to_vec();
            for (at, value) in changes {
                let at = at.index(archive.len());
                archive[at] = value;
            }
            drop(read(&archive));
        }
    }
}
