// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The names of a policy: classes with their permissions and constraints,
//! roles, types, users, booleans. Each has a value, counted from 1, by which
//! the rest of the policy refers to it.

use super::bits::Bits;
use super::constraint::Constraint;
use super::cursor::Cursor;
use super::error::Error;
use super::policydb::DEVICETREE;

/// A class of things that permissions are about.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// By bit: the name of permission 1 << bit.
    pub(super) permissions: Vec<String>,
    pub(super) constraints: Vec<Constraint>,
}

#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) dominates: Bits,
    pub(super) types: Bits,
}

/// A type or an attribute.
#[derive(Clone, Debug)]
pub(super) struct Type {
    pub(super) attribute: bool,
    /// The type that bounds it; 0 for none.
    pub(super) bounds: u32,
}

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) roles: Bits,
}

#[derive(Clone, Debug)]
pub(super) struct Boolean {
    /// What it is when the policy is loaded.
    pub(super) state: bool,
}

/// Things of one sort, each with a name and a value from 1.
#[derive(Clone, Debug)]
pub(super) struct Table<T> {
    entries: Vec<(String, T)>,
    aliases: Vec<(String, u32)>,
}

impl<T> Table<T> {
    /// A table whose entries `read` gives: name, value, the thing; None where
    /// the entry is another name for that value.
    pub(super) fn read(
        from: &mut Cursor<'_>,
        mut read: impl FnMut(&mut Cursor<'_>) -> Result<(String, u32, Option<T>), Error>,
    ) -> Result<Table<T>, Error> {
        let primary = from.count(1, "a table")?;
        let count = from.count(8, "a table")?;
        let mut slots: Vec<Option<(String, T)>> = (0..primary).map(|_| None).collect();
        let mut aliases = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        for _ in 0..count {
            let (name, value, thing) = read(from)?;
            if !names.insert(name.clone()) {
                return Err(from.invalid("a name stands twice in a table"));
            }
            let slot = (value as usize)
                .checked_sub(1)
                .and_then(|index| slots.get_mut(index));
            let slot = slot.ok_or_else(|| from.invalid("a value lies outside its table"))?;
            match thing {
                Some(thing) if slot.is_none() => *slot = Some((name, thing)),
                Some(_) => return Err(from.invalid("a value stands twice in a table")),
                None => aliases.push((name, value)),
            }
        }
        let entries: Option<Vec<_>> = slots.into_iter().collect();
        let entries = entries.ok_or_else(|| from.invalid("a value of a table is missing"))?;
        Ok(Table { entries, aliases })
    }

    pub(super) fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Whether there is a thing with this value.
    pub(super) fn has(&self, value: u32) -> bool {
        value >= 1 && value <= self.len()
    }

    /// The thing with this value, which the reader has checked.
    pub(super) fn thing(&self, value: u32) -> &T {
        &self.entries[value as usize - 1].1
    }

    pub(super) fn name(&self, value: u32) -> &str {
        &self.entries[value as usize - 1].0
    }

    /// The value of the thing called `name`.
    pub(super) fn value(&self, name: &str) -> Option<u32> {
        let alias = || {
            self.aliases
                .iter()
                .find(|(alias, _)| alias == name)
                .map(|(_, value)| *value)
        };
        let index = self.entries.iter().position(|(entry, _)| entry == name);
        index.map(|index| index as u32 + 1).or_else(alias)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }
}

/// `class_read()`.
pub(super) fn class(
    from: &mut Cursor<'_>,
    version: u32,
) -> Result<(String, u32, Option<Class>), Error> {
    let length = from.u32("a class")?;
    let common = from.u32("a class")?;
    let value = from.u32("a class")?;
    let primary = from.u32("a class")?;
    let count = from.count(8, "a class")?;
    let constraints = from.count(8, "a class")?;
    let name = from.name(length)?;
    if common != 0 || primary > 32 || primary as usize != count {
        return Err(from.invalid("a class has common permissions, or more than 32"));
    }
    let mut permissions = vec![String::new(); count];
    for _ in 0..count {
        let length = from.u32("a permission")?;
        let bit = from.u32("a permission")?;
        let permission = from.name(length)?;
        let slot = (bit as usize)
            .checked_sub(1)
            .and_then(|bit| permissions.get_mut(bit));
        match slot {
            Some(slot) if slot.is_empty() => *slot = permission,
            _ => return Err(from.invalid("a permission has no bit of its own")),
        }
    }
    let constraints = Constraint::read_list(from, constraints, version, false)?;
    let validations = from.count(8, "a class")?;
    Constraint::read_list(from, validations, version, true)?;
    if version >= DEVICETREE {
        // The defaults for new objects, which Xen reads and ignores.
        from.take(16, "a class")?;
    }
    Ok((
        name,
        value,
        Some(Class {
            permissions,
            constraints,
        }),
    ))
}

/// `role_read()`.
pub(super) fn role(from: &mut Cursor<'_>) -> Result<(String, u32, Option<Role>), Error> {
    let length = from.u32("a role")?;
    let value = from.u32("a role")?;
    from.u32("a role")?;
    let name = from.name(length)?;
    if (name == "object_r") != (value == OBJECT_ROLE) {
        return Err(from.invalid("the role object_r has not value 1"));
    }
    let dominates = Bits::read(from)?;
    let types = Bits::read(from)?;
    Ok((name, value, Some(Role { dominates, types })))
}

/// `type_read()`.
pub(super) fn kind(from: &mut Cursor<'_>) -> Result<(String, u32, Option<Type>), Error> {
    let length = from.u32("a type")?;
    let value = from.u32("a type")?;
    let properties = from.u32("a type")?;
    let bounds = from.u32("a type")?;
    let name = from.name(length)?;
    let attribute = properties & 2 != 0;
    // TYPEDATUM_PROPERTY_PRIMARY; attributes have only their own bit.
    let primary = properties & 1 != 0 || attribute;
    Ok((name, value, primary.then_some(Type { attribute, bounds })))
}

/// `user_read()`.
pub(super) fn user(from: &mut Cursor<'_>) -> Result<(String, u32, Option<User>), Error> {
    let length = from.u32("a user")?;
    let value = from.u32("a user")?;
    from.u32("a user")?;
    let name = from.name(length)?;
    let roles = Bits::read(from)?;
    range(from)?;
    from.u32("a level")?;
    Bits::read(from)?;
    Ok((name, value, Some(User { roles })))
}

/// `cond_read_bool()`.
pub(super) fn boolean(from: &mut Cursor<'_>) -> Result<(String, u32, Option<Boolean>), Error> {
    let value = from.u32("a boolean")?;
    let state = from.u32("a boolean")?;
    let length = from.u32("a boolean")?;
    if state > 1 {
        return Err(from.invalid("a boolean is neither true nor false"));
    }
    Ok((
        from.name(length)?,
        value,
        Some(Boolean { state: state == 1 }),
    ))
}

/// A range of levels, which stands in the format without MLS too
/// (`mls_read_range_helper()`).
pub(super) fn range(from: &mut Cursor<'_>) -> Result<(), Error> {
    let items = from.u32("a range")?;
    if items == 0 || items > 2 {
        return Err(from.invalid("a range has neither one nor two levels"));
    }
    for _ in 0..items {
        from.u32("a range")?;
    }
    for _ in 0..items {
        Bits::read(from)?;
    }
    Ok(())
}

/// `OBJECT_R_VAL`.
pub(super) const OBJECT_ROLE: u32 = 1;
