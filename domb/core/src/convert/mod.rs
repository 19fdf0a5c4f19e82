// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The launch configuration in other tools' words: Hyperlaunch's and
//! dom0less' device trees, and xl's guest configurations.
//!
//! No format can say all that another can. What is common to both goes over
//! unchanged; everything else is a [`Note`], so that nothing disappears in
//! silence. What is read is not trusted, and what comes out is only text: a
//! launch configuration made here goes through [`Config::check`] like one
//! that a person wrote.
//!
//! [`Config::check`]: crate::config::Config::check

mod device_tree;
mod draft;
mod error;
#[cfg(test)]
mod tests;
mod toml_text;
mod tree_reader;
mod tree_roles;
mod tree_writer;
mod xl;
mod xl_devices;
mod xl_syntax;

use std::collections::BTreeMap;
use std::fmt;

pub use device_tree::from_device_tree;
pub use error::Error;
pub use tree_writer::{Written, to_device_tree};
pub use xl::from_xl_cfg;

/// The largest device tree or guest configuration that is read, in bytes. A
/// whole machine's device tree is a tenth of it.
pub const MAX_BYTES: usize = 2 << 20;

/// One thing that is not the same after a conversion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Whether it is missing now or was not there before.
    pub kind: NoteKind,
    /// The key, property or node, with its path; escaped for a terminal.
    pub about: String,
    /// Why, or what was done; lower case, no full stop.
    pub text: String,
}

/// Whether something is missing after a conversion or was not there before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteKind {
    /// The other format has no word for it.
    LeftOut,
    /// The other format needs it, and it was not said.
    Assumed,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            NoteKind::LeftOut => "left out",
            NoteKind::Assumed => "assumed",
        };
        write!(f, "{kind}: {}: {}", self.about, self.text)
    }
}

/// A launch configuration made from something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Converted {
    /// `launch.toml`, with the notes as a comment at its top. Whether it is
    /// one that can be launched is for `Config::check` to say.
    pub text: String,
    /// What is not the same.
    pub notes: Vec<Note>,
}

/// The files behind the boot modules of a device tree, by index or address;
/// a device tree has the number only.
pub type ModulePaths = BTreeMap<u64, String>;

/// The notes of one conversion.
#[derive(Default)]
struct Notes(Vec<Note>);

impl Notes {
    /// So many are kept; nobody reads more.
    const MOST: usize = 1000;

    fn left_out(&mut self, about: impl Into<String>, text: impl Into<String>) {
        self.add(NoteKind::LeftOut, about.into(), text.into());
    }

    fn assumed(&mut self, about: impl Into<String>, text: impl Into<String>) {
        self.add(NoteKind::Assumed, about.into(), text.into());
    }

    fn add(&mut self, kind: NoteKind, about: String, text: String) {
        match self.0.len() {
            0..Self::MOST => self.0.push(Note { kind, about, text }),
            Self::MOST => self.0.push(Note {
                kind: NoteKind::LeftOut,
                about: "everything else".to_owned(),
                text: format!("more than {} things cannot be said", Self::MOST),
            }),
            _ => {}
        }
    }
}
