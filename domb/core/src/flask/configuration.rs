// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The labels of a launch configuration under a policy: whether each exists,
//! whether the boot domain may build a domain with it, and whether it may
//! become the control domain. What is not so would end the launch.

use super::builder::{Builder, DomainKind, Services};
use super::delegation::{check_given, check_withheld};
use super::label::{Context, LabelError};
use super::needs::{MissingRule, check_label};
use super::policydb::Policy;
use crate::config::{Config, DomainConfig, Exit, Role, Seclabel};
use crate::diagnostic::Diagnostic;
use crate::explain::Code;

/// What domain 0 is labelled from the hand-off on, unless `[control] seclabel`
/// says otherwise; it is that of `policy/flask` and of Xen's own example.
pub const CONTROL_LABEL: &str = "system_u:system_r:dom0_t";

/// Everything that is wrong with the labels of `config`, read from the file
/// that `file` names.
#[must_use]
pub fn check_configuration(policy: &Policy, config: &Config, file: &str) -> Vec<Diagnostic> {
    let check = Check {
        policy,
        config,
        file,
    };
    let mut faults: Vec<Diagnostic> = config
        .seclabels
        .iter()
        .filter_map(|label| check.label(label))
        .collect();
    faults.extend(check.ranges());
    let written = config.seclabels.iter().any(|label| label.of.is_none());
    if config.exit == Exit::Process && !written {
        faults.extend(check.default_control());
    }
    faults
}

struct Check<'a> {
    policy: &'a Policy,
    config: &'a Config,
    file: &'a str,
}

impl Check<'_> {
    fn label(&self, written: &Seclabel) -> Option<Diagnostic> {
        let label = written.label.as_str();
        let context = match self.policy.label(label) {
            Ok(context) => context,
            Err(error) => {
                return Some(
                    self.unknown(&error)
                        .at(written.span.clone())
                        .key(&written.key),
                );
            }
        };
        let fault = match &written.of {
            None => self.succession(&context),
            Some(name) => self.buildable(self.config.domain(name.as_str())?, label, &context),
        };
        fault.map(|fault| fault.at(written.span.clone()).key(&written.key))
    }

    fn unknown(&self, error: &LabelError) -> Diagnostic {
        let text = error.to_string();
        let (message, hint) = text.split_once("\nhint: ").unwrap_or((
            &text,
            "declare it with guest_label() in a file of your own and build the policy with it \
             (policy/flask)",
        ));
        Diagnostic::error(self.file, Code::LabelUnknown, message)
            .because("Xen could not look it up, and the launch would end there")
            .hint(hint)
    }

    fn buildable(
        &self,
        domain: &DomainConfig,
        label: &str,
        context: &Context,
    ) -> Option<Diagnostic> {
        let kind = DomainKind::of(&domain.roles, domain.kind);
        let by = Builder::of(self.policy, &domain.roles, *context, self.services());
        let missing = match check_label(self.policy, &by, label, kind) {
            Ok(missing) => missing,
            Err(error) => return Some(self.unknown(&error)),
        };
        let boot = self.policy.label_text(self.policy.boot_domain());
        let message = format!("{boot} may not build a domain labelled {label}");
        lacking(&missing).map(|hint| {
            Diagnostic::error(self.file, Code::LabelDenied, message)
                .because("Xen would refuse a step of it, and the launch would fail")
                .hint(hint)
        })
    }

    /// Whether each domain may have the ranges it is given, and domain 0 may
    /// lose them.
    fn ranges(&self) -> Vec<Diagnostic> {
        let domains = self.config.domains.iter().filter_map(|domain| {
            let label = domain.seclabel.as_deref();
            // A label that the policy does not know is reported already.
            let missing = check_given(self.policy, label, domain.delegated()).ok()?;
            let (name, shown) = (&domain.name, label.unwrap_or("without a label of its own"));
            let message = format!("the boot domain may not give ranges to {name}, {shown}");
            let fault = Diagnostic::error(self.file, Code::RangeDenied, message)
                .because("Xen would refuse it, and the domain would not be built")
                .hint(lacking(&missing)?);
            let mut written = self.config.seclabels.iter();
            let written = written.find(|it| it.of.as_ref() == Some(name));
            Some(match written {
                Some(label) => fault.at(label.span.clone()).key(&label.key),
                None => fault,
            })
        });
        let kept = self.config.resources.iter().filter(|it| it.withheld);
        let kept = kept.flat_map(|resource| &resource.ranges);
        let kept = check_withheld(self.policy, kept).ok();
        let kept = kept.and_then(|missing| lacking(&missing)).map(|hint| {
            let message = "domain 0 may not lose what [resources] withhold";
            Diagnostic::error(self.file, Code::RangeDenied, message)
                .because("the hardware domain would keep it, and the launch would fail")
                .hint(hint)
        });
        domains.chain(kept).collect()
    }

    /// The labels of those who have the roles.
    fn services(&self) -> Services {
        let label_of = |role: Role| {
            let holder = self.config.with_role(role)?;
            self.policy.label(holder.seclabel.as_deref()?).ok()
        };
        Services {
            store: label_of(Role::Xenstore),
            console: label_of(Role::Control),
        }
    }

    /// Whether the boot domain may take the label itself.
    fn succession(&self, next: &Context) -> Option<Diagnostic> {
        let boot = self.policy.boot_domain();
        if boot == next {
            return None;
        }
        let missing: Vec<MissingRule> = [("domain2", "relabelself"), ("domain", "transition")]
            .into_iter()
            .filter(|(class, permission)| {
                let allowed = self.policy.allowed(boot, next, class);
                !allowed.unwrap_or_default().contains(permission)
            })
            .map(|(class, permission)| MissingRule {
                source: self.policy.types.name(boot.kind).to_owned(),
                target: self.policy.types.name(next.kind).to_owned(),
                class,
                permissions: vec![permission],
                constrained: false,
            })
            .collect();
        let (boot, next) = (self.policy.label_text(boot), self.policy.label_text(next));
        let message = format!("{boot} may not become {next} at the hand-off");
        lacking(&missing).map(|hint| {
            Diagnostic::error(self.file, Code::LabelSuccession, message)
                .because("domain 0 would keep the boot domain's label, which ends the launch")
                .hint(hint)
        })
    }

    /// The label that nobody wrote down.
    fn default_control(&self) -> Option<Diagnostic> {
        if let Ok(next) = self.policy.label(CONTROL_LABEL) {
            return self.succession(&next);
        }
        let boot = self.policy.label_text(self.policy.boot_domain());
        let message = format!("domain 0 keeps the label {boot} after the hand-off");
        Some(
            Diagnostic::warning(self.file, Code::LabelSuccession, message)
                .because(format!("the policy has no {CONTROL_LABEL}"))
                .hint("name the control domain's label with `[control] seclabel`"),
        )
    }
}

/// What to add to the policy's source, one rule a line; None if nothing is
/// missing.
fn lacking(missing: &[MissingRule]) -> Option<String> {
    let mut merged: Vec<MissingRule> = Vec::new();
    for rule in missing {
        let of = |rule: &MissingRule| (rule.source.clone(), rule.target.clone(), rule.class);
        match merged.iter_mut().find(|known| of(known) == of(rule)) {
            Some(known) => {
                known.permissions.extend(&rule.permissions);
                known.constrained |= rule.constrained;
            }
            None => merged.push(rule.clone()),
        }
    }
    let rules: Vec<String> = merged.iter().map(text).collect();
    (!rules.is_empty()).then(|| format!("the policy lacks\n{}", rules.join("\n")))
}

fn text(rule: &MissingRule) -> String {
    if rule.constrained {
        format!("{rule}  # there in part, but a constraint, role or bound takes it away")
    } else {
        rule.to_string()
    }
}
