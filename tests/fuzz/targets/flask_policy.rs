// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any bytes as a compiled Flask policy: it is refused, or every question
//! about it has an answer.

#![no_main]

use domb_core::flask::{Builder, DomainKind, Policy, check_label, compare};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(policy) = Policy::read(bytes) else {
        return;
    };
    let own = policy.label_text(policy.boot_domain());
    let label = policy
        .label(&own)
        .expect("the boot domain's own label is one");
    assert_eq!(label, *policy.boot_domain());
    let builder = Builder::boot_domain(&policy);
    for kind in [DomainKind::Pv, DomainKind::Pvh, DomainKind::Hardware] {
        // A label without what belongs to it is an answer too.
        if let Ok(missing) = check_label(&policy, &builder, &own, kind) {
            assert!(missing.iter().all(|rule| !rule.permissions.is_empty()));
        }
    }
    for finding in compare(&policy).findings {
        assert!(!finding.words().is_empty());
    }
});
