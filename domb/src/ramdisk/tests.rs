// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ramdisks in every format, whole and damaged.

use proptest::prelude::*;

use super::*;

const TINY: &[u8] = include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio");
const COMPRESSED: [&[u8]; 6] = [
    include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.gz"),
    include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.bz2"),
    include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.xz"),
    include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.zst"),
    include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.lzma"),
    include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.lz4"),
];

fn told(bytes: &[u8]) -> String {
    inspect(bytes).unwrap().to_string()
}

fn fault(bytes: &[u8]) -> String {
    let error = inspect(bytes).unwrap_err();
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}; {source}"),
        None => error.to_string(),
    }
}

fn names(archive: &[u8]) -> Vec<String> {
    let name = |member: newc::Member<'_>| String::from_utf8(member.name.to_vec()).unwrap();
    Members::new(archive, 0)
        .map(|member| name(member.unwrap()))
        .collect()
}

#[test]
fn archives_are_told_by_what_they_are() {
    assert_eq!(told(TINY), "cpio");
    let formats = ["gzip", "bzip2", "xz", "zstd", "lzma", "lz4"];
    for (stream, format) in COMPRESSED.iter().zip(formats) {
        assert_eq!(told(stream), format!("{format} cpio"));
    }
    assert_eq!(
        told(&[TINY, TINY, COMPRESSED[3]].concat()),
        "cpio, zstd cpio"
    );
    assert!(inspect(TINY).unwrap().is_known());
}

#[test]
fn what_is_not_recognised_is_let_through_and_said_to_be_unknown() {
    for bytes in [b"\x7fELF and so on".as_slice(), b"\x89LZO\0\r\n\x1a\n"] {
        assert!(!inspect(bytes).unwrap().is_known());
        assert!(matches!(unpacked(bytes), Err(Error::NotCpio { offset: 0 })));
    }
    assert_eq!(told(b"hello"), "unknown");
}

#[test]
fn nothing_is_not_a_ramdisk() {
    assert_eq!(fault(b""), "ramdisk is empty: 0 bytes, none but zeros");
    assert_eq!(
        fault(&[0; 512]),
        "ramdisk is empty: 512 bytes, none but zeros"
    );
}

#[test]
fn a_ramdisk_cut_short_is_refused_with_the_place() {
    assert!(fault(&TINY[..600]).contains("the member at byte 268 needs 1760 bytes, 216 are there"));
    for stream in COMPRESSED {
        let text = fault(&stream[..stream.len() - 9]);
        assert!(
            text.starts_with("ramdisk's part at byte 0 is not whole"),
            "{text}"
        );
        assert!(text.contains("is truncated"), "{text}");
    }
    let second = [TINY, &COMPRESSED[0][..100]].concat();
    assert!(fault(&second).starts_with("ramdisk's part at byte 2560 is not whole"));
    assert!(fault(&second).contains("gzip stream is truncated"));
}

#[test]
fn an_archive_cut_short_before_compression_is_refused() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gzip, &TINY[..600]).unwrap();
    let error = inspect(&gzip.finish().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ramdisk's gzip stream at byte 0 holds no whole archive"
    );
}

#[test]
fn junk_behind_an_archive_is_refused() {
    assert!(
        fault(&[TINY, b"abcd"].concat()).contains("byte 2560 with something that is no archive")
    );
    assert!(
        fault(&[TINY, &[0], TINY].concat())
            .contains("byte 2561 does not begin at a multiple of four")
    );
}

#[test]
fn one_archive_is_unpacked_to_itself_without_its_compression() {
    assert!(matches!(unpacked(TINY).unwrap(), Cow::Borrowed(bytes) if bytes == TINY));
    for stream in COMPRESSED {
        assert_eq!(unpacked(stream).unwrap(), TINY);
    }
}

#[test]
fn several_archives_become_one_with_inodes_of_its_own() {
    let joined = [TINY, COMPRESSED[3], &[0; 4], COMPRESSED[0]].concat();
    let archive = unpacked(&joined).unwrap();
    assert_eq!(told(&archive), "cpio");
    let one = names(TINY);
    assert_eq!(names(&archive), [one.clone(), one.clone(), one].concat());
    let inodes: Vec<u32> = Members::new(&archive, 0)
        .map(|member| member.unwrap().ino)
        .collect();
    assert_eq!(inodes, (1..=12).collect::<Vec<u32>>());
}

#[test]
fn two_plain_archives_are_merged_too() {
    let archive = [TINY, TINY].concat();
    assert_eq!(names(&unpacked(&archive).unwrap()).len(), 8);
}

#[test]
fn debians_own_initramfs_is_whole() {
    for entry in std::path::Path::new("/boot")
        .read_dir()
        .into_iter()
        .flatten()
    {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("initrd.img-")
        {
            assert!(
                inspect(&std::fs::read(&path).unwrap()).unwrap().is_known(),
                "{}",
                path.display()
            );
        }
    }
}

proptest! {
    #[test]
    fn no_change_of_a_ramdisk_panics(
        order in prop::collection::vec(0..COMPRESSED.len(), 0..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut: prop::sample::Index,
    ) {
        let mut bytes = TINY.to_vec();
        for index in order {
            bytes.extend_from_slice(COMPRESSED[index]);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let inspected = inspect(&bytes);
        let plain = unpacked(&bytes);
        prop_assert!(inspected.is_ok() || plain.is_err());
        if let Ok(plain) = plain {
            prop_assert!(inspect(&plain).is_ok());
        }
    }
}
