// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The compiled policy as a whole, read in the order of `policydb_read()`
//! (`xen/xsm/flask/ss/policydb.c`).

use super::bits::Bits;
use super::cursor::Cursor;
use super::error::Error;
use super::label::Context;
use super::rules::{self, Conditional, Rule};
use super::symbols::{self, Boolean, Class, Role, Table, Type, User};

/// A compiled Flask policy.
///
/// Holding one proves that Xen 4.17 would take these bytes, that every number
/// in them refers to something that is there, and that nothing in them was
/// passed over.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) classes: Table<Class>,
    pub(super) roles: Table<Role>,
    pub(super) types: Table<Type>,
    pub(super) users: Table<User>,
    pub(super) booleans: Table<Boolean>,
    pub(super) rules: Vec<Rule>,
    pub(super) conditionals: Vec<Conditional>,
    /// Changes of role that are allowed: from, to.
    pub(super) role_changes: Vec<(u32, u32)>,
    /// What Xen labels before any rule speaks: SID and label.
    pub(super) initial: Vec<(u32, Context)>,
    /// What interrupts, ports and memory are labelled, where the policy says
    /// more than the initial SIDs: in the order Xen looks.
    pub(super) resources: Vec<(Range, Context)>,
    /// By type: itself and its attributes.
    pub(super) attributes: Vec<Bits>,
    /// Types that are not enforced; bit n stands for the type with value n.
    permissive: Bits,
    /// Whether a class or permission the policy does not know is allowed.
    pub(super) allow_unknown: bool,
}

/// The SIDs Xen gives out itself (`xen/xsm/flask/policy/initial_sids`), by
/// their number: the position in that file, from 1.
pub(super) mod sid {
    pub(in crate::flask) const XENBOOT: u32 = 1;
    pub(in crate::flask) const XEN: u32 = 2;
    pub(in crate::flask) const DOM0: u32 = 3;
    pub(in crate::flask) const DOMIO: u32 = 4;
    pub(in crate::flask) const DOMXEN: u32 = 5;
    pub(in crate::flask) const SECURITY: u32 = 7;
    pub(in crate::flask) const IOPORT: u32 = 8;
    pub(in crate::flask) const IOMEM: u32 = 9;
    pub(in crate::flask) const IRQ: u32 = 10;
    pub(in crate::flask) const DEVICE: u32 = 11;
    pub(in crate::flask) const DOMU: u32 = 12;
    pub(in crate::flask) const COUNT: u32 = 13;
}

impl Policy {
    /// Reads a compiled policy: the bytes Xen would be given.
    pub fn read(bytes: &[u8]) -> Result<Policy, Error> {
        let from = &mut Cursor::new(bytes);
        let (version, config) = header(from)?;
        Bits::read(from)?; // policy capabilities, of which Xen has none
        let permissive = Bits::read(from)?;

        no_commons(from)?;
        let classes = Table::read(from, |from| symbols::class(from, version))?;
        let roles = Table::read(from, symbols::role)?;
        let types = Table::read(from, symbols::kind)?;
        let users = Table::read(from, symbols::user)?;
        let booleans = Table::read(from, symbols::boolean)?;
        no_levels(from)?;

        let rules = rules::read(from, &classes, &types)?;
        let conditionals = rules::read_conditional(from, &classes, &types, &booleans)?;
        from.empty("transitions of roles")?;
        let role_changes = role_changes(from, &roles)?;
        if version >= DEVICETREE {
            from.empty("transitions by file name")?;
        }

        let mut policy = Policy {
            classes,
            roles,
            types,
            users,
            booleans,
            rules,
            conditionals,
            role_changes,
            initial: Vec::new(),
            resources: Vec::new(),
            attributes: Vec::new(),
            permissive,
            allow_unknown: config & ALLOW_UNKNOWN != 0,
        };
        policy.read_labels(from, version)?;
        from.empty("labels of file systems")?;
        from.empty("transitions between levels")?;
        policy.read_attributes(from)?;
        from.end()?;
        Ok(policy)
    }

    /// The object contexts: initial SIDs, and labels of interrupts, ports,
    /// memory ranges, devices and device tree nodes, which only must be valid.
    fn read_labels(&mut self, from: &mut Cursor<'_>, version: u32) -> Result<(), Error> {
        for _ in 0..from.count(16, "the initial SIDs")? {
            let sid = from.u32("an initial SID")?;
            let context = self.read_context(from)?;
            self.initial.push((sid, context));
        }
        let missing = |sid: &u32| !self.initial.iter().any(|(known, _)| known == sid);
        if (1..=sid::COUNT).any(|sid| missing(&sid)) {
            return Err(from.invalid("an initial SID has no label"));
        }
        let wide = version >= DEVICETREE;
        let kinds = [
            (interrupt as ReadRange, 4),
            (ports, 8),
            (memory, if wide { 16 } else { 8 }),
        ];
        for (reader, size) in kinds {
            for _ in 0..from.count(size + 16, LABELS)? {
                let range = reader(from, wide)?;
                let context = self.read_context(from)?;
                self.resources.push((range, context));
            }
        }
        for _ in 0..from.count(4 + 16, LABELS)? {
            from.u32(LABEL)?;
            self.read_context(from)?;
        }
        if version >= DEVICETREE {
            for _ in 0..from.count(20, "the labels of device tree nodes")? {
                let length = from.u32("the label of a device tree node")?;
                from.take(length as usize, "the label of a device tree node")?;
                self.read_context(from)?;
            }
        }
        Ok(())
    }

    /// `context_read_and_validate()`, and no attribute for a type: Xen would
    /// take it, and no rule would be about it.
    fn read_context(&self, from: &mut Cursor<'_>) -> Result<Context, Error> {
        let user = from.u32("a label")?;
        let role = from.u32("a label")?;
        let kind = from.u32("a label")?;
        symbols::range(from)?;
        let context = Context { user, role, kind };
        let known = self.users.has(user) && self.roles.has(role) && self.types.has(kind);
        if known && self.is_valid(&context) && !self.types.thing(kind).attribute {
            Ok(context)
        } else {
            Err(from.invalid("a label that is not valid"))
        }
    }

    fn read_attributes(&mut self, from: &mut Cursor<'_>) -> Result<(), Error> {
        for value in 1..=self.types.len() {
            let mut attributes = Bits::read(from)?;
            attributes.insert(value);
            if !attributes
                .values()
                .all(|attribute| self.types.has(attribute))
            {
                return Err(from.invalid("a type has an attribute that is not there"));
            }
            self.attributes.push(attributes);
        }
        for start in 1..=self.types.len() {
            let mut kind = start;
            for _ in 0..MAX_BOUNDS {
                let bounds = self.types.thing(kind).bounds;
                if bounds == 0 {
                    break;
                }
                if !self.types.has(bounds) || self.types.thing(bounds).attribute {
                    return Err(from.invalid("a type is bounded by what is no type"));
                }
                kind = bounds;
            }
            if self.types.thing(kind).bounds != 0 {
                return Err(from.invalid("a chain of bounds is too long"));
            }
        }
        Ok(())
    }

    /// The types whose denials are logged and have no effect. This one set
    /// counts from 0 (`context_struct_compute_av()` asks for the bit `type`).
    pub(super) fn permissive_types(&self) -> impl Iterator<Item = u32> + '_ {
        self.permissive
            .values()
            .map(|value| value - 1)
            .filter(|kind| self.types.has(*kind))
    }

    /// The label Xen gives out by this initial SID.
    pub(super) fn initial(&self, sid: u32) -> &Context {
        let found = self.initial.iter().find(|(known, _)| *known == sid);
        &found
            .expect("the reader checked that each initial SID has a label")
            .1
    }

    /// The label of the first domain: the boot domain's.
    #[must_use]
    pub fn boot_domain(&self) -> &Context {
        self.initial(sid::DOM0)
    }
}

/// Magic, string, version and configuration; then the table sizes, which
/// follow from the version.
fn header(from: &mut Cursor<'_>) -> Result<(u32, u32), Error> {
    let magic = from.u32("the header").map_err(|_| Error::NotAPolicy)?;
    let length = from.u32("the header").map_err(|_| Error::NotAPolicy)?;
    if magic != MAGIC || length > 64 {
        return Err(Error::NotAPolicy);
    }
    let target = from.take(length as usize, "the header")?;
    if target != TARGET {
        return Err(Error::NotForXen(
            String::from_utf8_lossy(target).escape_debug().to_string(),
        ));
    }
    let version = from.u32("the header")?;
    let config = from.u32("the header")?;
    let symbols = from.u32("the header")?;
    let contexts = from.u32("the header")?;
    let expected = match version {
        BOUNDARY => 5,
        DEVICETREE => 6,
        _ => return Err(Error::Version(version)),
    };
    if config & MLS != 0 {
        return Err(Error::Mls);
    }
    if symbols != 8 || contexts != expected || config & !(ALLOW_UNKNOWN | REJECT_UNKNOWN) != 0 {
        return Err(from.invalid("the header has other tables or settings than its version"));
    }
    Ok((version, config))
}

const LABELS: &str = "the labels of resources";
const LABEL: &str = "the label of a resource";

/// What an entry of `pirqcon`, `ioportcon`, `iomemcon` is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Range {
    pub(super) kind: RangeKind,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// Kinds of ranges, each with an initial SID for what has no entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RangeKind {
    Interrupt,
    Ports,
    Memory,
}

type ReadRange = fn(&mut Cursor<'_>, bool) -> Result<Range, Error>;

fn interrupt(from: &mut Cursor<'_>, _: bool) -> Result<Range, Error> {
    let number = from.u32(LABEL)?.into();
    Ok(Range {
        kind: RangeKind::Interrupt,
        first: number,
        last: number,
    })
}

fn ports(from: &mut Cursor<'_>, _: bool) -> Result<Range, Error> {
    Ok(Range {
        kind: RangeKind::Ports,
        first: from.u32(LABEL)?.into(),
        last: from.u32(LABEL)?.into(),
    })
}

fn memory(from: &mut Cursor<'_>, wide: bool) -> Result<Range, Error> {
    let frame = |from: &mut Cursor<'_>| {
        let low = u64::from(from.u32(LABEL)?);
        let high = if wide { from.u32(LABEL)?.into() } else { 0u64 };
        Ok(high << 32 | low)
    };
    Ok(Range {
        kind: RangeKind::Memory,
        first: frame(from)?,
        last: frame(from)?,
    })
}

/// Common permissions: Xen refuses classes that use them.
fn no_commons(from: &mut Cursor<'_>) -> Result<(), Error> {
    from.empty("common permissions")?;
    from.empty("common permissions")
}

/// Sensitivities and categories: none without MLS.
fn no_levels(from: &mut Cursor<'_>) -> Result<(), Error> {
    for _ in 0..4 {
        from.empty("sensitivity levels")?;
    }
    Ok(())
}

fn role_changes(from: &mut Cursor<'_>, roles: &Table<Role>) -> Result<Vec<(u32, u32)>, Error> {
    let count = from.count(8, "changes of roles")?;
    let mut changes = Vec::with_capacity(count);
    for _ in 0..count {
        let change = (
            from.u32("a change of roles")?,
            from.u32("a change of roles")?,
        );
        if !roles.has(change.0) || !roles.has(change.1) {
            return Err(from.invalid("a change of roles about a role that is not there"));
        }
        changes.push(change);
    }
    Ok(changes)
}

/// `FLASK_MAGIC`, `POLICYDB_STRING`, and the two versions `checkpolicy -t Xen`
/// writes (`POLICYDB_VERSION_BOUNDARY`, `POLICYDB_VERSION_XEN_DEVICETREE`).
const MAGIC: u32 = 0xf97c_ff8c;
const TARGET: &[u8] = b"XenFlask";
const BOUNDARY: u32 = 24;
pub(super) const DEVICETREE: u32 = 30;
/// `POLICYDB_CONFIG_MLS` and what to do about what the policy does not know.
const MLS: u32 = 1;
const REJECT_UNKNOWN: u32 = 2;
const ALLOW_UNKNOWN: u32 = 4;
/// `POLICYDB_BOUNDS_MAXDEPTH`.
const MAX_BOUNDS: usize = 4;
