// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an image holds and how large each part is, for a person.

use std::fmt;

/// What `domb image` made. Displays as a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The parts, in the order they are told.
    pub parts: Vec<Part>,
    /// Length of the image.
    pub bytes: u64,
    /// Where it was written.
    pub output: String,
    /// The release of the kernel to boot it with.
    pub kernel_release: String,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
}

/// A part of the image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its group: parts of one group follow each other.
    pub group: &'static str,
    /// Its length in the image.
    pub bytes: u64,
    /// What it is.
    pub text: String,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for part in &self.parts {
            let group = if part.group == last { "" } else { part.group };
            writeln!(
                f,
                "{group:<16}{:>11}  {}",
                Size(part.bytes).to_string(),
                part.text
            )?;
            last = part.group;
        }
        writeln!(
            f,
            "{:<16}{:>11}  {}",
            "total",
            Size(self.bytes).to_string(),
            self.output
        )?;
        writeln!(
            f,
            "boot it with the kernel of Linux {}",
            self.kernel_release
        )
    }
}

/// A length, in the largest unit that leaves a whole part.
#[derive(Clone, Copy)]
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size(bytes) = *self;
        let tenths = |unit: u64| (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
        let (tenths, unit) = match bytes {
            0..KIB => return write!(f, "{bytes} B"),
            _ if tenths(KIB) < 10240 => (tenths(KIB), "KiB"),
            _ => (tenths(KIB * KIB), "MiB"),
        };
        write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

const KIB: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_to_a_tenth_of_their_unit() {
        let told = [
            0,
            1023,
            1024,
            1075,
            1_048_575,
            1_048_576,
            65_906_612,
            u64::MAX,
        ]
        .map(|n| Size(n).to_string());
        let expected = [
            "0 B",
            "1023 B",
            "1.0 KiB",
            "1.0 KiB",
            "1.0 MiB",
            "1.0 MiB",
            "62.9 MiB",
            "17592186044416.0 MiB",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_group_is_named_once() {
        let part = |group, bytes, text: &str| Part {
            group,
            bytes,
            text: text.to_owned(),
        };
        let summary = Summary {
            parts: vec![
                part("init", 2048, "/init"),
                part("kernels", 1 << 20, "a"),
                part("kernels", 3 << 19, "b"),
            ],
            bytes: 3 << 20,
            output: "domb.img".to_owned(),
            kernel_release: "6.1".to_owned(),
            warnings: Vec::new(),
        };
        let expected = "\
init                2.0 KiB  /init
kernels             1.0 MiB  a
                    1.5 MiB  b
total               3.0 MiB  domb.img
boot it with the kernel of Linux 6.1
";
        assert_eq!(summary.to_string(), expected);
    }
}
