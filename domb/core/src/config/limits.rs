// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `[limits]`: the bounds of the launch script's runs, which can be lowered
//! and never raised. The bounds are those of `policy::Limit`; this only reads
//! them.

use super::faults::{Faults, Field};
use super::table::Table;
use crate::explain::Code;
use crate::policy::{Limit, Limits};

/// The keys, in the order of the documentation.
pub(super) const KEYS: [&str; Limit::ALL.len()] = {
    let mut keys = [""; Limit::ALL.len()];
    let mut index = 0;
    while index < keys.len() {
        keys[index] = Limit::ALL[index].name();
        index += 1;
    }
    keys
};

/// Every limit that is written.
pub(super) fn read(table: &Table<'_>, faults: &mut Faults<'_>) -> Vec<Field<i64>> {
    let fields = KEYS.iter().filter_map(|key| table.integer(key, faults));
    fields.collect()
}

/// What the written limits mean. None if one cannot be; that is reported.
pub(super) fn meaning(raw: &[Field<i64>], faults: &mut Faults<'_>) -> Option<Limits> {
    let mut all = Some(Limits::default());
    for field in raw {
        let key = field.key.rsplit('.').next().unwrap_or_default();
        let lowered = u64::try_from(field.value).ok();
        let lowered = lowered.and_then(|value| Limits::default().lowered_to(key, value).ok());
        if lowered.is_none() {
            faults.add(raised(field, key, faults));
        }
        all = all.zip(lowered).and_then(|(all, _)| {
            let value = u64::try_from(field.value).ok()?;
            all.lowered_to(key, value).ok()
        });
    }
    all
}

fn raised(field: &Field<i64>, key: &str, faults: &Faults<'_>) -> crate::diagnostic::Diagnostic {
    let limit = Limit::ALL.into_iter().find(|limit| limit.name() == key);
    let most = limit.map_or(0, Limit::default_value);
    let asked = field.value;
    let (message, why) = if asked < 1 {
        (
            format!("`{key}` is {asked}, and a limit is 1 at least"),
            "the launch script could do nothing, and would launch nothing",
        )
    } else {
        (
            format!("`{key}` is {asked}, above its default {most}"),
            "a limit can only be lowered: the default is the most that any launch is allowed",
        )
    };
    faults
        .at(field, Code::Limit, message)
        .because(why)
        .hint(format!(
            "write a number from 1 to {most}, or leave it out for {most}"
        ))
}
