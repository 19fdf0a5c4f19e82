// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reading one node of a device tree so that nothing of it is lost: whatever
//! was not asked for is on the list of what was left out.

use std::collections::BTreeSet;

use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};

use super::Notes;
use super::draft::short;

/// The bits of `mode` (Hyperlaunch bindings, "Classic Dom0 definition").
pub(super) mod mode {
    pub(crate) const PARAVIRTUALIZED: u32 = 1 << 0;
    pub(crate) const ENABLE_DEVICE_MODEL: u32 = 1 << 1;
    pub(crate) const LONG: u32 = 1 << 2;
}

/// The most children of one node that are looked at.
const MOST: usize = 1024;

/// A node, and which of its properties have been read.
pub(super) struct Reader<'a> {
    node: FdtNode<'a>,
    /// Its path, for notes.
    pub(super) path: String,
    taken: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(node: FdtNode<'a>, path: String) -> Reader<'a> {
        Reader {
            node,
            path,
            taken: BTreeSet::new(),
        }
    }

    /// The node's name before its unit address.
    pub(super) fn name(&self) -> &'a str {
        self.node.name_without_address()
    }

    pub(super) fn children(&self) -> Vec<Reader<'a>> {
        let child = |node: FdtNode<'a>| {
            let path = format!("{}/{}", self.path, short(node.name()));
            Reader::new(node, path)
        };
        self.node.children().take(MOST).map(child).collect()
    }

    pub(super) fn child(&self, name: &str) -> Option<Reader<'a>> {
        self.children().into_iter().find(|c| c.name() == name)
    }

    /// Whether `word` is one of the node's `compatible` strings.
    pub(super) fn is(&self, word: &str) -> bool {
        self.node
            .compatible()
            .is_some_and(|mut words| words.any(|known| known == word))
    }

    /// The property's value, which counts as read.
    pub(super) fn bytes(&mut self, name: &str) -> Option<&'a [u8]> {
        let value = self.node.property(name)?.value_as::<&'a [u8]>().ok()?;
        self.taken.insert(name.to_owned());
        Some(value)
    }

    /// A property that says nothing the other format could miss.
    pub(super) fn skip(&mut self, name: &str) {
        self.taken.insert(name.to_owned());
    }

    /// The one cell of a property.
    pub(super) fn cell(&mut self, name: &str, notes: &mut Notes) -> Option<u32> {
        let value = self.bytes(name)?;
        match value.try_into() {
            Ok(cell) => Some(u32::from_be_bytes(cell)),
            Err(_) => self.misshapen(name, value, "one cell", notes),
        }
    }

    /// A number in one or two cells.
    pub(super) fn number(&mut self, name: &str, notes: &mut Notes) -> Option<u64> {
        let value = self.bytes(name)?;
        let cells = value
            .try_into()
            .map(u64::from_be_bytes)
            .or_else(|_| value.try_into().map(|cell| u32::from_be_bytes(cell).into()));
        match cells {
            Ok(number) => Some(number),
            Err(_) => self.misshapen(name, value, "a number in one or two cells", notes),
        }
    }

    /// The text of a property.
    pub(super) fn text(&mut self, name: &str, notes: &mut Notes) -> Option<&'a str> {
        let value = self.bytes(name)?;
        let text = value
            .strip_suffix(b"\0")
            .and_then(|text| str::from_utf8(text).ok());
        match text.filter(|text| !text.contains('\0')) {
            Some(text) => Some(text),
            None => self.misshapen(name, value, "text", notes),
        }
    }

    fn misshapen<T>(&self, name: &str, value: &[u8], wanted: &str, notes: &mut Notes) -> Option<T> {
        let text = format!("it should be {wanted}, not {}", show(value));
        notes.left_out(format!("{}/{name}", self.path), text);
        None
    }

    /// Notes every property that was not read.
    pub(super) fn rest(&self, why: &str, notes: &mut Notes) {
        for property in self.node.properties() {
            let name = property.name();
            if !self.taken.contains(name) {
                let value = match property.value() {
                    [] => String::new(),
                    value => format!(" = {}", show(value)),
                };
                notes.left_out(format!("{}/{}{value}", self.path, short(name)), why);
            }
        }
    }
}

/// A property's value as a device tree's source would have it.
fn show(value: &[u8]) -> String {
    let text = value
        .strip_suffix(b"\0")
        .and_then(|text| str::from_utf8(text).ok());
    let printable = |text: &&str| {
        !text.is_empty()
            && !text.starts_with('\0')
            && !text.contains("\0\0")
            && !text.contains(|c: char| c.is_control() && c != '\0')
    };
    if let Some(text) = text.filter(printable) {
        let words: Vec<String> = text.split('\0').map(|word| format!("\"{word}\"")).collect();
        return short(&words.join(", "));
    }
    let (cells, odd) = value.as_chunks::<4>();
    if odd.is_empty() && !cells.is_empty() {
        let cells: Vec<String> = cells
            .iter()
            .take(8)
            .map(|cell| format!("{:#x}", u32::from_be_bytes(*cell)))
            .collect();
        return format!("<{}>", cells.join(" "));
    }
    let bytes: Vec<String> = value
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("[{}]", bytes.join(" "))
}
