// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Kernels of this host, of the fixtures, and damaged ones.

use std::io::Write;
use std::path::Path;

use proptest::prelude::*;

use super::*;

const ELF: &[u8] = include_bytes!("../../../tests/fixtures/kernel/tiny.elf");
const PAYLOADS: [(Compression, &[u8]); 5] = [
    (
        Compression::Gzip,
        include_bytes!("../../../tests/fixtures/kernel/tiny.elf.gz"),
    ),
    (
        Compression::Xz,
        include_bytes!("../../../tests/fixtures/kernel/tiny.elf.xz"),
    ),
    (
        Compression::Zstd,
        include_bytes!("../../../tests/fixtures/kernel/tiny.elf.zst"),
    ),
    (
        Compression::Lzma,
        include_bytes!("../../../tests/fixtures/kernel/tiny.elf.lzma"),
    ),
    (
        Compression::Lz4,
        include_bytes!("../../../tests/fixtures/kernel/tiny.elf.lz4"),
    ),
];

/// A bzImage around `stream`, with the size appended where Linux appends it.
fn bzimage(compression: Compression, stream: &[u8], size: usize) -> Vec<u8> {
    let mut payload = stream.to_vec();
    if compression != Compression::Gzip {
        payload.extend((size as u32).to_le_bytes());
    }
    let mut image = vec![0; 1024];
    image[SETUP_SECTS] = 1;
    image[HEADER..HEADER + 4].copy_from_slice(b"HdrS");
    image[VERSION..VERSION + 2].copy_from_slice(&0x020f_u16.to_le_bytes());
    image[PAYLOAD_OFFSET..PAYLOAD_OFFSET + 4].copy_from_slice(&16_u32.to_le_bytes());
    image[PAYLOAD_LENGTH..HEADER_END].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image.extend([0xcc; 16]);
    image.extend(payload);
    image.extend([0xcc; 32]);
    image
}

fn message(bytes: &[u8]) -> String {
    bootable(bytes).unwrap_err().to_string()
}

#[test]
fn an_elf_passes_as_it_is() {
    let kernel = bootable(ELF).unwrap();
    assert!(matches!(kernel.bytes, Cow::Borrowed(bytes) if bytes == ELF));
    assert_eq!(kernel.format.to_string(), "ELF");
    assert_eq!(
        kernel.entries,
        Entries {
            pv: true,
            pvh: true
        }
    );
}

#[test]
fn a_bzimage_gives_the_elf_inside_whatever_its_compression() {
    for (compression, stream) in PAYLOADS {
        let image = bzimage(compression, stream, ELF.len());
        let kernel = bootable(&image).unwrap();
        assert_eq!(kernel.bytes, ELF);
        assert_eq!(kernel.format.to_string(), format!("bzImage {compression}"));
    }
}

#[test]
fn a_gzipped_elf_and_a_gzipped_bzimage_pass_as_libxl_takes_them() {
    let image = bzimage(PAYLOADS[1].0, PAYLOADS[1].1, ELF.len());
    for (inner, format) in [(ELF, "gzip ELF"), (image.as_slice(), "gzip bzImage xz")] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(inner).unwrap();
        let gzip = gzip.finish().unwrap();
        let kernel = bootable(&gzip).unwrap();
        assert_eq!(
            (kernel.bytes.as_ref(), kernel.format.to_string().as_str()),
            (ELF, format)
        );
    }
}

#[test]
fn what_is_no_kernel_is_told_by_its_first_bytes() {
    assert!(message(b"").starts_with("neither a bzImage nor an ELF: it is empty\nhint: "));
    assert!(message(b"#!/bin/sh\n").contains("it begins with 23 21 2f 62 69 6e 2f 73"));
    assert!(message(&[0; 4096]).contains("00 00 00"));
}

#[test]
fn a_kernel_cut_short_says_how_long_it_had_to_be() {
    let image = bzimage(PAYLOADS[1].0, PAYLOADS[1].1, ELF.len());
    let whole = image.len() - 32;
    for length in [0x206, 0x24f, 0x250, 1024, whole - 1] {
        let text = message(&image[..length]);
        assert!(text.starts_with("kernel is truncated"), "{length}: {text}");
    }
    assert!(
        message(&image[..whole - 1]).contains(&format!("{} bytes of at least {whole}", whole - 1))
    );
    assert!(bootable(&image[..whole]).is_ok());
    for length in 4..ELF.len() {
        assert!(bootable(&ELF[..length]).is_err(), "{length}");
    }
}

#[test]
fn compressions_that_libxl_lacks_are_refused_by_name() {
    for (stream, name) in [
        (b"BZh91AY&SY".as_slice(), "bzip2"),
        (b"\x89LZO\0\r\n\x1a\n", "lzo"),
    ] {
        let text = message(&bzimage(Compression::Xz, stream, 9));
        assert!(
            text.contains(&format!("payload is {name} compressed")),
            "{text}"
        );
    }
    assert!(
        message(&bzimage(Compression::Xz, b"plain!", 6))
            .contains("no known compression: it begins with 70 6c")
    );
}

#[test]
fn a_size_that_is_not_the_payloads_is_refused() {
    let (compression, stream) = PAYLOADS[1];
    let chain = |size| match bootable(&bzimage(compression, stream, size)).unwrap_err() {
        Error::Decompress { source, .. } => source.to_string(),
        error => error.to_string(),
    };
    assert!(chain(ELF.len() + 1).contains("announces"));
    assert!(chain(ELF.len() - 1).contains("expands to more than"));
    assert!(chain(MAX_BYTES + 1).contains("more than the 536870912 allowed"));
}

#[test]
fn an_old_boot_protocol_is_refused() {
    let mut image = bzimage(PAYLOADS[0].0, PAYLOADS[0].1, ELF.len());
    image[VERSION..VERSION + 2].copy_from_slice(&0x0205_u16.to_le_bytes());
    assert_eq!(
        message(&image),
        "bzImage of boot protocol 2.05, libxl needs 2.08 or later"
    );
}

#[test]
fn a_program_and_a_kernel_of_another_machine_are_refused() {
    let program = std::fs::read("/proc/self/exe").unwrap();
    assert!(message(&program).contains("no entry point for Xen"));
    let mut other = ELF.to_vec();
    other[18] = 183;
    assert!(message(&other).contains("machine 183"));
}

#[test]
fn debians_kernels_become_the_elf_that_their_header_announces() {
    for entry in Path::new("/boot").read_dir().into_iter().flatten() {
        let path = entry.unwrap().path();
        if !path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("vmlinuz-")
        {
            continue;
        }
        let image = std::fs::read(&path).unwrap();
        let kernel = bootable(&image).unwrap();
        assert!(
            kernel.entries.pv && kernel.entries.pvh,
            "{}",
            path.display()
        );
        assert!(kernel.bytes.len() > image.len());
    }
}

proptest! {
    #[test]
    fn no_change_of_a_kernel_panics(
        which in 0..PAYLOADS.len(), at: prop::sample::Index, value: u8, cut: prop::sample::Index,
    ) {
        let (compression, stream) = PAYLOADS[which];
        let mut image = bzimage(compression, stream, ELF.len());
        let at = at.index(image.len());
        image[at] = value;
        drop(bootable(&image));
        image.truncate(cut.index(image.len()));
        drop(bootable(&image));
    }

    #[test]
    fn no_change_of_an_elf_panics(changes in prop::collection::vec((0usize..1200, any::<u8>()), 1..6)) {
        let mut image = ELF.to_vec();
        for (at, value) in changes {
            let at = at % image.len();
            image[at] = value;
        }
        drop(bootable(&image));
    }
}
