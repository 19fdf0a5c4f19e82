// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Kernels as libxl will load them.
//!
//! libxl takes a bzImage apart each time it builds a domain, and loads the ELF
//! inside. domb does that once, so that the bytes that are hashed are the
//! bytes that boot, on the host (`predict`) as in the boot domain. The file is
//! not trusted: lengths in it are checked against it, the output is bounded,
//! and what comes out has to be an x86 ELF with an entry point for Xen.
//!
//! The rules are those of libxenguest 4.17 (`xg_dom_core.c`,
//! `xg_dom_bzimageloader.c`, `libelf-dominfo.c`) as Debian builds it: gzip, xz,
//! lzma, zstd and lz4, not bzip2, not lzo.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use elf::ElfBytes;
use elf::abi::{EM_386, EM_X86_64, PT_LOAD, PT_NOTE, SHT_NOTE};
use elf::endian::LittleEndian;
use elf::note::{Note, NoteIterator};
use elf::parse::ParseError;

use crate::compression::{self, Compression};

/// A kernel that libxl can load without decompressing anything.
///
/// Holding one proves that `bytes` is a complete x86 ELF with at least one
/// entry point for Xen.
#[derive(Debug)]
pub struct Bootable<'a> {
    /// The ELF that boots.
    pub bytes: Cow<'a, [u8]>,
    /// What it was found in.
    pub format: Format,
    /// The domain types it can start as.
    pub entries: Entries,
}

/// What a kernel file is. Displays as `ELF`, `bzImage xz`, `gzip ELF`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// The whole file is gzip compressed.
    pub gzip: bool,
    /// It is a bzImage whose payload is compressed like this.
    pub bzimage: Option<Compression>,
}

/// The entry points that a kernel's Xen notes name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Entries {
    /// It can start in a PV domain (`XEN_ELFNOTE_XEN_VERSION` or `__xen_guest`).
    pub pv: bool,
    /// It can start in a PVH domain (`XEN_ELFNOTE_PHYS32_ENTRY`).
    pub pvh: bool,
}

/// The ELF that libxl would load from the kernel image `bytes`.
///
/// # Errors
/// `bytes` is no kernel, not a whole one, or one that libxl cannot load.
pub fn bootable(bytes: &[u8]) -> Result<Bootable<'_>, Error> {
    let gzip = Compression::of(bytes) == Some(Compression::Gzip);
    let image = if gzip {
        Cow::Owned(decompress(Compression::Gzip, bytes, MAX_BYTES, 0)?)
    } else {
        Cow::Borrowed(bytes)
    };
    let (bytes, bzimage) = if image.starts_with(&elf::abi::ELFMAGIC) {
        (image, None)
    } else if image.get(HEADER..HEADER + 4) == Some(b"HdrS") {
        let (elf, compression) = payload(&image)?;
        (Cow::Owned(elf), Some(compression))
    } else {
        return Err(Error::NotAKernel {
            first: First::of(&image),
        });
    };
    let entries = entries(&bytes)?;
    Ok(Bootable {
        bytes,
        format: Format { gzip, bzimage },
        entries,
    })
}

/// Decompresses the payload of a bzImage (Linux `Documentation/x86/boot.rst`,
/// `payload_offset` and `payload_length`).
fn payload(image: &[u8]) -> Result<(Vec<u8>, Compression), Error> {
    let field = |at: usize| -> Result<usize, Error> {
        let bytes = image.get(at..).and_then(|tail| tail.first_chunk::<4>());
        let bytes = bytes.ok_or(Error::Truncated {
            bytes: image.len(),
            needs: HEADER_END,
        })?;
        Ok(u32::from_le_bytes(*bytes) as usize)
    };
    let version = field(VERSION)? as u16;
    if version < 0x0208 {
        return Err(Error::Protocol { version });
    }
    let length = field(PAYLOAD_LENGTH)?;
    let start = (usize::from(image[SETUP_SECTS]) + 1) * 512 + field(PAYLOAD_OFFSET)?;
    let end = start + length;
    let payload = image.get(start..end).ok_or(Error::Truncated {
        bytes: image.len(),
        needs: end,
    })?;
    let first = || First::of(payload);
    let compression = Compression::of(payload).ok_or_else(|| Error::Payload { first: first() })?;
    if matches!(compression, Compression::Bzip2 | Compression::Lzo) {
        return Err(Error::NotByLibxl { compression });
    }
    let stated = *payload
        .last_chunk::<4>()
        .ok_or_else(|| Error::Payload { first: first() })?;
    let stated = u32::from_le_bytes(stated) as usize;
    if stated > MAX_BYTES {
        return Err(Error::TooLarge { stated });
    }
    // gzip's own trailer is the size; the others have it appended.
    let stream = match compression {
        Compression::Gzip => payload,
        _ => &payload[..payload.len() - 4],
    };
    let elf = decompress(compression, stream, stated, start)?;
    if elf.len() != stated {
        return Err(Error::Size {
            stated,
            bytes: elf.len(),
        });
    }
    Ok((elf, compression))
}

fn decompress(
    format: Compression,
    stream: &[u8],
    limit: usize,
    at: usize,
) -> Result<Vec<u8>, Error> {
    let decoded = format
        .decode(stream, limit)
        .map_err(|source| Error::Decompress { at, source })?;
    Ok(decoded.bytes)
}

/// Checks the ELF's frame and reads its Xen notes, from segments first and
/// from sections only if those have none (`elf_xen_parse`).
fn entries(bytes: &[u8]) -> Result<Entries, Error> {
    let file = ElfBytes::<LittleEndian>::minimal_parse(bytes).map_err(Error::Elf)?;
    let machine = file.ehdr.e_machine;
    if machine != EM_X86_64 && machine != EM_386 {
        return Err(Error::Machine { machine });
    }
    let mut found = Entries::default();
    let mut load = false;
    for segment in file
        .segments()
        .iter()
        .flat_map(elf::parse::ParsingTable::iter)
    {
        let data = file.segment_data(&segment).map_err(|source| match source {
            ParseError::SliceReadError((_, needs)) => Error::Truncated {
                bytes: bytes.len(),
                needs,
            },
            source => Error::Elf(source),
        })?;
        load |= segment.p_type == PT_LOAD;
        if segment.p_type == PT_NOTE && segment.p_offset != 0 {
            found.read(&file, data);
        }
    }
    if !load {
        return Err(Error::NothingToLoad);
    }
    if found == Entries::default() {
        for section in file
            .section_headers()
            .iter()
            .flat_map(elf::parse::ParsingTable::iter)
        {
            if section.sh_type == SHT_NOTE
                && let Ok((data, None)) = file.section_data(&section)
            {
                found.read(&file, data);
            }
        }
    }
    if found == Entries::default() {
        found.pv = matches!(file.section_header_by_name("__xen_guest"), Ok(Some(_)));
    }
    if found == Entries::default() {
        Err(Error::NotForXen)
    } else {
        Ok(found)
    }
}

impl Entries {
    fn read(&mut self, file: &ElfBytes<'_, LittleEndian>, data: &[u8]) {
        // Xen pads notes to four bytes whatever the header says.
        for note in NoteIterator::new(file.ehdr.endianness, file.ehdr.class, 4, data) {
            if let Note::Unknown(note) = note
                && note.name == b"Xen\0"
            {
                self.pv |= note.n_type == XEN_ELFNOTE_XEN_VERSION;
                self.pvh |= note.n_type == XEN_ELFNOTE_PHYS32_ENTRY;
            }
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.gzip {
            f.write_str("gzip ")?;
        }
        match self.bzimage {
            Some(compression) => write!(f, "bzImage {compression}"),
            None => f.write_str("ELF"),
        }
    }
}

/// The first bytes of something unrecognised, for a message.
#[derive(Debug)]
pub struct First(Vec<u8>);

impl First {
    fn of(bytes: &[u8]) -> First {
        First(bytes[..bytes.len().min(8)].to_vec())
    }
}

impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("it is empty");
        }
        f.write_str("it begins with")?;
        self.0.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
    }
}

/// Why an image is not a kernel for libxl.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is neither of the two formats.
    #[error(
        "neither a bzImage nor an ELF: {first}\nhint: a kernel is a file such as /boot/vmlinuz-6.1.0-56-amd64"
    )]
    NotAKernel {
        /// How it begins.
        first: First,
    },
    /// It is shorter than it says.
    #[error(
        "kernel is truncated: {bytes} bytes of at least {needs}\nhint: copy or install the kernel again"
    )]
    Truncated {
        /// Its length.
        bytes: usize,
        /// The length its headers need.
        needs: usize,
    },
    /// It is older than Linux 2.6.25.
    #[error("bzImage of boot protocol {}.{:02}, libxl needs 2.08 or later", version >> 8, version & 0xff)]
    Protocol {
        /// Major number in the high byte.
        version: u16,
    },
    /// The payload has no known magic number.
    #[error("bzImage payload is in no known compression: {first}")]
    Payload {
        /// How it begins.
        first: First,
    },
    /// libxl would refuse the payload.
    #[error(
        "bzImage payload is {compression} compressed, and Debian's libxl cannot decompress that\nhint: build the kernel with CONFIG_KERNEL_XZ, _ZSTD, _GZIP, _LZMA or _LZ4, or give its vmlinux"
    )]
    NotByLibxl {
        /// The payload's compression.
        compression: Compression,
    },
    /// The announced size is beyond all kernels.
    #[error("bzImage payload announces {stated} bytes, more than the {MAX_BYTES} allowed")]
    TooLarge {
        /// The announced size.
        stated: usize,
    },
    /// It did not decompress.
    #[error("decompress the kernel found at byte {at}")]
    Decompress {
        /// Where in the file the stream begins.
        at: usize,
        /// What the decoder said.
        source: compression::Error,
    },
    /// It decompressed to fewer bytes than announced.
    #[error("bzImage payload announces {stated} bytes and holds {bytes}")]
    Size {
        /// The announced size.
        stated: usize,
        /// The real one.
        bytes: usize,
    },
    /// The ELF's headers contradict themselves.
    #[error("read the kernel's ELF headers")]
    Elf(#[source] ParseError),
    /// It is for another processor.
    #[error("kernel is an ELF for machine {machine}, not for x86 (62 or 3)")]
    Machine {
        /// `e_machine`.
        machine: u16,
    },
    /// It has no `PT_LOAD` segment.
    #[error("kernel is an ELF without a segment to load: an object file or a module")]
    NothingToLoad,
    /// It has no Xen note.
    #[error(
        "ELF has no entry point for Xen: it is a program, or a kernel built without CONFIG_XEN_PV and CONFIG_PVH"
    )]
    NotForXen,
}

/// What a kernel may decompress to at most; libxl's own bound is 1 GiB.
const MAX_BYTES: usize = 512 << 20;

// Offsets into the setup header (Linux `Documentation/x86/boot.rst`).
const SETUP_SECTS: usize = 0x1f1;
const HEADER: usize = 0x202;
const VERSION: usize = 0x206;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const HEADER_END: usize = 0x250;

// Note types (`xen/include/public/elfnote.h`).
const XEN_ELFNOTE_XEN_VERSION: u64 = 5;
const XEN_ELFNOTE_PHYS32_ENTRY: u64 = 18;
