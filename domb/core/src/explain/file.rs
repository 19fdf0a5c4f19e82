// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults of the file itself and of its keys: C001 to C017.

use super::{Code, Explanation};

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::FileUnreadable,
        title: "the launch configuration cannot be read",
        cause: "There is no such file, or it may not be read by whoever runs domb.",
        wrong: "domb check lanch.toml",
        right: "domb check launch.toml",
        remedy: "Name the file; paths inside it count from its own directory, not from yours.",
    },
    Explanation {
        code: Code::FileTooLong,
        title: "the file is longer than a launch configuration can be",
        cause: "A launch configuration is a few KiB. A file of more than 1 MiB is something else, \
                such as a kernel given in its place, and is not read.",
        wrong: "domb check domb.img",
        right: "domb check launch.toml",
        remedy: "Check that this is the file you meant.",
    },
    Explanation {
        code: Code::NotUtf8,
        title: "the file is not UTF-8 text",
        cause: "TOML files are UTF-8. An image, an archive, or a text in an older encoding is not.",
        wrong: "name = \"caf\\xe9\"  # one byte of Latin-1",
        right: "name = \"cafe\"",
        remedy: "Save the file as UTF-8; if it is an image or an archive, it is the wrong file.",
    },
    Explanation {
        code: Code::NotToml,
        title: "the file is not TOML",
        cause: "A line is neither `key = value` nor a heading. Most often text is not in quotes, or \
                a quote is not closed on its line.",
        wrong: "memory = 256M",
        right: "memory = \"256M\"",
        remedy: "Put text in double quotes. Only the first fault of a line is shown.",
    },
    Explanation {
        code: Code::KeyTwice,
        title: "the same key is written twice",
        cause: "Which of the two values counts would depend on who reads the file.",
        wrong: "vcpus = 1\nvcpus = 2",
        right: "vcpus = 2",
        remedy: "Keep one of the two. Several domains each begin with [[domain]], in double \
                 brackets.",
    },
    Explanation {
        code: Code::NestedTooDeep,
        title: "keys or brackets are nested too deep",
        cause: "Nothing in a launch configuration is nested deeper than ten levels; such a file \
                was made to trouble its reader.",
        wrong: "more than 80 brackets in brackets",
        right: "a list, or a list of lists",
        remedy: "Flatten it.",
    },
    Explanation {
        code: Code::MoreFaults,
        title: "further faults are not listed",
        cause: "The first 50 faults are shown. A file with more is hardly a launch configuration, \
                or one slip is repeated in it.",
        wrong: "a file with 60 unknown keys",
        right: "the same file without them",
        remedy: "Mend the ones that are listed, then check again.",
    },
    Explanation {
        code: Code::UnknownKey,
        title: "a key that domb does not know",
        cause: "The setting would have no effect, and nobody would notice: that is how typos \
                disable protections. So a file with an unknown key is refused.",
        wrong: "initrd = \"net.cpio\"",
        right: "ramdisk = \"net.cpio\"",
        remedy: "The hint names the key that was meant, or the table it belongs to. Further fields \
                 of libxl go below [domain.libxl].",
    },
    Explanation {
        code: Code::MissingKey,
        title: "a domain lacks a key that it must have",
        cause: "Every domain needs name, domid, type, kernel and memory. None of them has a value \
                that would be right for everybody.",
        wrong: "[[domain]]\nname = \"net\"\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"",
        right: "[[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"",
        remedy: "Add the line that the hint shows.",
    },
    Explanation {
        code: Code::WrongType,
        title: "a value of the wrong type",
        cause: "The key wants another kind of value: text in quotes, a whole number without them, \
                a list in brackets, or a table.",
        wrong: "domid = \"7\"",
        right: "domid = 7",
        remedy: "Write it as the hint shows.",
    },
    Explanation {
        code: Code::UnknownWord,
        title: "a word that the key does not take",
        cause: "The key takes one of a few words, and this is none of them.",
        wrong: "type = \"pvh2\"",
        right: "type = \"pvh\"",
        remedy: "Use one of the words that the message lists.",
    },
    Explanation {
        code: Code::NoDomain,
        title: "there is no domain in the file",
        cause: "A launch without domains would leave the machine with nothing to run.",
        wrong: "domain = []",
        right: "[[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pvh\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"",
        remedy: "Add a [[domain]] table with name, domid, type, kernel and memory.",
    },
    Explanation {
        code: Code::TooManyDomains,
        title: "more domains than one launch may have",
        cause: "A launch builds at most 256 domains. No platform domb is meant for starts more at \
                boot.",
        wrong: "more than 256 [[domain]] tables",
        right: "up to 256 of them",
        remedy: "Let the control domain start the rest.",
    },
    Explanation {
        code: Code::NumberTooLarge,
        title: "a number beyond 64 bits",
        cause: "No value of a launch configuration is that large, and cutting it off would make \
                another number of it.",
        wrong: "domid = 99999999999999999999",
        right: "domid = 7",
        remedy: "Write a smaller number.",
    },
    Explanation {
        code: Code::DataValue,
        title: "a value that a free table cannot hold",
        cause: "[data] is handed to the launch script, which counts in whole numbers, and \
                [domain.libxl] to libxl, which has no fractions and no dates.",
        wrong: "[data]\nlimit = 0.5",
        right: "[data]\nlimit_percent = 50",
        remedy: "Write a whole number, or text in double quotes.",
    },
];
