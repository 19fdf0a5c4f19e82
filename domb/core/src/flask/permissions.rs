// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table of every Flask permission and who has it when Xen has no labels:
//! `policy/flask/dummy/permissions`, which says of each row which hook of
//! Xen's `xsm/dummy.h` it stands for. The dummy policy is made from the same
//! table.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Who has a permission when Xen has no labels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// Every domain.
    Any,
    /// A domain on itself, a device model on its guest.
    Own,
    /// A device model on its guest.
    DeviceModel,
    /// The xenstore domain.
    Store,
    /// A domain that Xen made a console domain.
    Console,
    /// The control domain alone.
    Privileged,
    /// Nobody: it exists only with Flask.
    FlaskOnly,
    /// It is no power of whom it is given to.
    Passive,
    /// Flask's own check is about another domain than the caller.
    Flawed,
}

/// One permission of one class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permission {
    /// Who has it without labels.
    pub level: Level,
    /// The hooks that ask for it; `-` for none.
    pub hooks: &'static str,
    words: &'static str,
}

impl Permission {
    /// What whoever has it on `target` may do: follows "may".
    #[must_use]
    pub fn words(&self, target: &str) -> String {
        self.words.replace('%', target)
    }
}

/// All permissions, by class and name.
#[derive(Debug)]
pub struct Permissions(BTreeMap<&'static str, BTreeMap<&'static str, Permission>>);

impl Permissions {
    /// Those of Xen 4.17.
    #[must_use]
    pub fn xen_4_17() -> &'static Permissions {
        static TABLE: LazyLock<Permissions> =
            LazyLock::new(|| parse(TEXT).expect("a test reads the table that is compiled in"));
        &TABLE
    }

    /// The row of a permission.
    #[must_use]
    pub fn find(&self, class: &str, permission: &str) -> Option<&Permission> {
        self.0.get(class)?.get(permission)
    }

    /// Each class and permission of the table.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.0
            .iter()
            .flat_map(|(class, rows)| rows.keys().map(|name| (*class, *name)))
    }
}

impl Level {
    /// Who it is, as the subject or object of a sentence.
    #[must_use]
    pub fn who(self) -> &'static str {
        match self {
            Level::Any => "every domain",
            Level::Own => "a domain on itself and a device model on its guest",
            Level::DeviceModel => "a device model on its guest",
            Level::Store => "the xenstore domain and the control domain",
            Level::Console => "a console domain and the control domain",
            Level::Privileged => "the control domain alone",
            Level::FlaskOnly => "nobody, as it exists only with Flask",
            Level::Passive => "no domain of itself",
            Level::Flawed => "a domain on itself; Flask asks about the wrong domain",
        }
    }

    fn parse(word: &str) -> Option<Level> {
        Some(match word {
            "ANY" => Level::Any,
            "SELF" => Level::Own,
            "DM" => Level::DeviceModel,
            "STORE" => Level::Store,
            "CONSOLE" => Level::Console,
            "PRIV" => Level::Privileged,
            "FLASK" => Level::FlaskOnly,
            "PASSIVE" => Level::Passive,
            "FLAWED" => Level::Flawed,
            _ => return None,
        })
    }
}

/// The table, or the first line that is not a row.
fn parse(text: &'static str) -> Result<Permissions, &'static str> {
    let mut table: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (class, name, permission) = row(line).ok_or(line)?;
        if table
            .entry(class)
            .or_default()
            .insert(name, permission)
            .is_some()
        {
            return Err(line);
        }
    }
    Ok(Permissions(table))
}

fn row(line: &'static str) -> Option<(&'static str, &'static str, Permission)> {
    let (head, words) = line.split_once(" : ")?;
    let (class, rest) = head.split_once(' ')?;
    let (name, rest) = rest.trim_start().split_once(' ')?;
    let (_target, rest) = rest.trim_start().split_once(' ')?;
    let (level, hooks) = rest.trim_start().split_once(' ')?;
    let permission = Permission {
        level: Level::parse(level)?,
        hooks: hooks.trim(),
        words,
    };
    Some((class, name, permission))
}

const TEXT: &str = include_str!("../../../../policy/flask/dummy/permissions");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_row_of_its_own() {
        let table = parse(TEXT).unwrap();
        assert_eq!(table.names().count(), 175);
        let row = table.find("domain", "getdomaininfo").unwrap();
        assert_eq!(
            (row.level, row.hooks),
            (Level::Store, "xsm_domctl xsm_getdomaininfo")
        );
        assert_eq!(row.words("web_t"), "see the state of web_t");
    }

    #[test]
    fn a_row_without_its_five_parts_is_named() {
        assert_eq!(
            parse("xen settime xen PRIV x").unwrap_err(),
            "xen settime xen PRIV x"
        );
        assert!(parse("xen settime xen MOST x : y").is_err());
        assert!(parse("xen a xen PRIV x : y\nxen a xen ANY x : z").is_err());
    }
}
