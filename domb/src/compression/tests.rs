// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every format, whole, cut short and too large.

use proptest::prelude::*;

use super::*;

const PLAIN: &[u8] = include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio");
const STREAMS: [(Compression, &[u8]); 6] = [
    (
        Compression::Gzip,
        include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.gz"),
    ),
    (
        Compression::Bzip2,
        include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.bz2"),
    ),
    (
        Compression::Xz,
        include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.xz"),
    ),
    (
        Compression::Zstd,
        include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.zst"),
    ),
    (
        Compression::Lzma,
        include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.lzma"),
    ),
    (
        Compression::Lz4,
        include_bytes!("../../../tests/fixtures/ramdisk/tiny.cpio.lz4"),
    ),
];
const LIMIT: usize = 1 << 20;

#[test]
fn every_format_decodes_what_its_own_tool_wrote() {
    for (format, stream) in STREAMS {
        assert_eq!(Compression::of(stream), Some(format));
        let decoded = format.decode(stream, LIMIT).unwrap();
        assert_eq!(decoded.bytes, PLAIN, "{format}");
        assert_eq!(decoded.consumed, stream.len(), "{format}");
    }
}

#[test]
fn what_follows_a_stream_is_left_alone() {
    for (format, stream) in STREAMS {
        let mut longer = stream.to_vec();
        longer.extend_from_slice(&[0; 64]);
        let decoded = format.decode(&longer, LIMIT).unwrap();
        assert_eq!(
            (decoded.bytes.as_slice(), decoded.consumed),
            (PLAIN, stream.len()),
            "{format}"
        );
    }
}

#[test]
fn a_stream_cut_anywhere_is_not_accepted() {
    for (format, stream) in STREAMS {
        for length in 4..stream.len() {
            // A legacy lz4 frame has no end mark: cut between blocks it is a frame.
            if format == Compression::Lz4 && length == 4 {
                continue;
            }
            match format.decode(&stream[..length], LIMIT) {
                Err(Error::Truncated { at, .. }) => assert!(at <= length, "{format} {at}"),
                other => panic!("{format} cut at {length}: {other:?}"),
            }
        }
    }
}

#[test]
fn output_beyond_the_limit_is_refused() {
    for (format, stream) in STREAMS {
        let error = format.decode(stream, PLAIN.len() - 1).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{format}: {error}");
        format.decode(stream, PLAIN.len()).unwrap();
    }
}

#[test]
fn lzo_is_known_by_name_only() {
    let stream = b"\x89LZO\0\r\n\x1a\n";
    assert_eq!(Compression::of(stream), Some(Compression::Lzo));
    let error = Compression::Lzo.decode(stream, LIMIT).unwrap_err();
    assert_eq!(error.to_string(), "lzo streams are not supported");
}

proptest! {
    // A changed byte may hit a field that carries no meaning (a gzip mtime);
    // it may never give other content, as long as the format has a checksum.
    #[test]
    fn a_changed_stream_gives_the_same_bytes_or_an_error(
        which in 0..STREAMS.len(), at in 4usize..200, value: u8,
    ) {
        let (format, stream) = STREAMS[which];
        let mut stream = stream.to_vec();
        let at = at % stream.len();
        stream[at] = value;
        if let Ok(decoded) = format.decode(&stream, LIMIT) {
            let checked = !matches!(format, Compression::Lz4 | Compression::Lzma);
            prop_assert!(!checked || decoded.bytes == PLAIN || decoded.bytes.is_empty());
        }
    }

    #[test]
    fn noise_after_a_magic_number_never_panics(
        which in 0..MAGIC.len(), noise in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let (magic, format) = MAGIC[which];
        let mut stream = magic.to_vec();
        stream.extend(noise);
        if let Ok(decoded) = format.decode(&stream, LIMIT) {
            prop_assert!(decoded.consumed <= stream.len());
        }
    }
}
