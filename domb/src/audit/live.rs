// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an audit looks at: the files that were left, the hypervisor and
//! XenStore. Asks nothing that Flask would deny by the policy at hand, so that
//! an audit leaves no denial on Xen's console; what is denied all the same is
//! a row that says so.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domb_core::audit::{
    Audit, Channel, Channels, Facts, Found, Item, NoAnswer, Plan, State, Topic, Verdict, enforced,
};
use domb_core::config::{Config, Role, Uuid};
use domb_core::diagnostic::escape;
use domb_core::flask::{LabelError, Policy, Question};
use xenlight::{DomainInfo, FlaskState, Hypervisor, Level, Logger, RunState, Store};

use super::Options;
use crate::bundle;
use crate::exit::Exit;
use crate::flask;
use crate::report::{self, DomainState, Report};

pub fn audit(options: &Options) -> Result<Audit, Error> {
    let left = |name: &str| options.directory.join(name);
    let config = configuration(&left("launch.toml"))?;
    if config.exit != domb_core::config::Exit::Domain {
        return Err(Error::OtherExit);
    }
    let report = report::read(&left("report.json"))?;
    let policy = policy(options, &config)?;
    let plan = Plan {
        config: &config,
        launched: launched(&report, |domain| domain.real_seclabel.clone()),
        granted: granted(&report),
        given: launched(&report, |domain| domain.ranges.clone()),
        withheld: report.withheld.clone(),
    };
    let hypervisor = Hypervisor::open(quiet()?)?;
    let store = Store::open()?;
    let facts = facts(&hypervisor, &store, &policy)?;
    let mut audit = Audit::of(&plan, &policy, &facts);
    for item in enforcement(&hypervisor, &plan, &policy)? {
        audit.add(item);
    }
    Ok(audit)
}

fn configuration(path: &Path) -> Result<Config, Error> {
    let bytes = fs::read(path).map_err(Error::file(path))?;
    Config::parse(&path.display().to_string(), &bytes).map_err(|faults| Error::Configuration {
        path: path.to_owned(),
        faults: faults.iter().map(|fault| fault.message.clone()).collect(),
    })
}

/// The compiled policy that was planned. The one beside launch.toml is that
/// only if launch.toml names one; an earlier boot may have left it.
fn policy(options: &Options, config: &Config) -> Result<Policy, Error> {
    let left = || options.directory.join(bundle::FLASK_POLICY);
    let path = match (&options.flask_policy, &config.flask_policy) {
        (Some(path), _) => path.clone(),
        (None, Some(_)) => left(),
        (None, None) => {
            let why = io::Error::new(io::ErrorKind::NotFound, NOT_MEASURED);
            return Err(flask::Error::Read(left(), why).into());
        }
    };
    Ok(flask::read_policy(&path)?)
}

/// What the report says of each domain that was handed over, by name.
fn launched<T>(report: &Report, of: impl Fn(&report::Domain) -> T) -> BTreeMap<String, T> {
    let domains = report.domains.iter();
    let handed = domains.filter(|domain| domain.state == DomainState::Running);
    handed
        .map(|domain| (domain.name.clone(), of(domain)))
        .collect()
}

/// What the launch script granted, as the report says it: `resources = ["tpm"]`.
fn granted(report: &Report) -> BTreeMap<String, Vec<String>> {
    let names = |domain: &report::Domain| {
        let mut changed = domain.changed.iter();
        let value = changed.find_map(|change| change.strip_prefix("resources = "))?;
        let names = serde_json::from_str(value).ok()?;
        Some((domain.name.clone(), names))
    };
    report.domains.iter().filter_map(names).collect()
}

fn facts(hypervisor: &Hypervisor, store: &Store, policy: &Policy) -> Result<Facts, Error> {
    let mut facts = Facts::default();
    let before = trees(store)?;
    for domain in settled(hypervisor)? {
        let domid = domain.domid;
        let name = store.read_text(&format!("{TREES}/{domid}/name"))?;
        let state = match domain.state {
            RunState::Running => State::Running,
            RunState::Paused => State::Paused,
            RunState::Shutdown(_) => State::Ended,
            RunState::Dying => State::Dying,
        };
        let label = domain.seclabel.as_deref();
        let label = label.and_then(|text| policy.label(text).ok());
        if label.is_some_and(|label| policy.tells_channels(&label)) && state != State::Dying {
            facts.channels.insert(domid, channels(hypervisor, domid));
        }
        facts.domains.push(Found {
            domid,
            name: name.map(|name| escape(&name).to_string()),
            uuid: Uuid(domain.uuid),
            state,
            memory_kib: domain.memory_kib,
            label: domain.seclabel,
        });
    }
    // A tree that comes or goes meanwhile is that of a domain that does.
    facts.trees = trees(store)?;
    facts.trees.retain(|tree| before.contains(tree));
    Ok(facts)
}

fn trees(store: &Store) -> Result<Vec<u16>, Error> {
    let trees = store.list(TREES)?.unwrap_or_default();
    Ok(trees.iter().filter_map(|tree| tree.parse().ok()).collect())
}

/// The domains there are. One that is being destroyed is given time to go.
fn settled(hypervisor: &Hypervisor) -> Result<Vec<DomainInfo>, Error> {
    let began = Instant::now();
    loop {
        let domains = hypervisor.domains()?;
        let dying = domains.iter().any(|it| it.state == RunState::Dying);
        if !dying || began.elapsed() > DESTROYED_WITHIN {
            return Ok(domains);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn channels(hypervisor: &Hypervisor, domid: u16) -> Channels {
    match hypervisor.channels(domid) {
        Ok(channels) => Channels::Known(
            channels
                .into_iter()
                .map(|(port, remote)| Channel { port, remote })
                .collect(),
        ),
        Err(error) => {
            let why = report::chain(&error).join(": ");
            if is_denied(&error) {
                Channels::Denied(why)
            } else {
                Channels::Refused(why)
            }
        }
    }
}

/// Whether Xen enforces a policy, and the answers are this one's.
fn enforcement(
    hypervisor: &Hypervisor,
    plan: &Plan<'_>,
    policy: &Policy,
) -> Result<Vec<Item>, Error> {
    let (found, verdict) = match hypervisor.flask()? {
        FlaskState::Enforcing => ("enforcing", Verdict::AsPlanned),
        FlaskState::Permissive => ("permissive: nothing is refused", Verdict::Differs),
        FlaskState::Absent => ("absent: labels mean nothing", Verdict::Differs),
    };
    let mut items = vec![Item {
        topic: Topic::Enforcement,
        subject: "Flask".to_owned(),
        planned: "enforcing".to_owned(),
        found: found.to_owned(),
        verdict,
    }];
    let control = plan.config.with_role(Role::Control);
    let label = control.and_then(|domain| domain.seclabel.as_deref());
    let label = label.expect("with exit = \"domain\" the control domain has a label");
    let mut numbers = BTreeMap::new();
    items.extend(enforced(policy, &policy.label(label)?, |question| {
        ask(hypervisor, &mut numbers, question).map_err(|error| {
            let why = report::chain(&error).join(": ");
            if is_denied(&error) {
                NoAnswer::Denied(why)
            } else {
                NoAnswer::Failed(why)
            }
        })
    }));
    Ok(items)
}

/// One question of many: each label's number is asked for once.
fn ask(
    hypervisor: &Hypervisor,
    numbers: &mut BTreeMap<String, u32>,
    question: &Question,
) -> Result<u32, xenlight::Error> {
    let mut number = |label: &String| {
        if let Some(number) = numbers.get(label) {
            return Ok(*number);
        }
        let number = hypervisor.label_number(label)?;
        numbers.insert(label.clone(), number);
        Ok::<u32, xenlight::Error>(number)
    };
    let (source, target) = (number(&question.source)?, number(&question.target)?);
    hypervisor.flask_allows_numbers(source, target, question.number)
}

fn is_denied(error: &xenlight::Error) -> bool {
    matches!(error, xenlight::Error::System { source, .. }
        if source.kind() == io::ErrorKind::PermissionDenied)
}

/// What libxenctrl says is in the errors.
fn quiet() -> Result<Logger, Error> {
    let path = Path::new("/dev/null");
    let file = OpenOptions::new().write(true).open(path);
    let logger = file.and_then(|file| Logger::new(file, Level::Error));
    logger.map_err(Error::file(path))
}

const DESTROYED_WITHIN: Duration = Duration::from_secs(20);
const TREES: &str = "/local/domain";
const NOT_MEASURED: &str = "launch.toml names no flask_policy, so none was measured\nhint: name the policy that Xen is started with by --flask-policy";

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that the boot domain left.
    #[error(
        "read {}\nhint: `domb adopt` puts it there, in the control domain of a platform with exit = \"domain\"", path.display()
    )]
    File { path: PathBuf, source: io::Error },
    #[error("use {} as the plan: {}", path.display(), faults.join("; "))]
    Configuration { path: PathBuf, faults: Vec<String> },
    #[error("audit a platform with exit = \"process\": domain 0 has every power there")]
    OtherExit,
    #[error(transparent)]
    Report(#[from] report::ReadError),
    #[error(transparent)]
    Policy(#[from] flask::Error),
    #[error("use a planned label under the policy")]
    Label(#[from] LabelError),
    #[error(transparent)]
    Xen(#[from] xenlight::Error),
}

impl Error {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Error::Xen(_) => Exit::NoToolstack,
            Error::OtherExit => Exit::Config,
            _ => Exit::Load,
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const DOMAIN: &[u8] = include_bytes!("../../../tests/fixtures/flask/domain.policy");

    /// Where an earlier boot has left a policy, and a configuration of this one.
    fn left(first_line: &str) -> (TempDir, Config) {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join(bundle::FLASK_POLICY), DOMAIN).unwrap();
        let text = format!(
            "{first_line}\n[[domain]]\nname = \"net\"\ndomid = 7\ntype = \"pv\"\nkernel = \"k\"\n\
             memory = \"96M\"\n"
        );
        let config = Config::parse("launch.toml", text.as_bytes()).unwrap();
        (directory, config)
    }

    fn options(directory: &TempDir, flask_policy: Option<PathBuf>) -> Options {
        Options {
            directory: directory.path().to_owned(),
            flask_policy,
            json: false,
        }
    }

    #[test]
    fn the_policy_that_was_left_is_the_plan_where_the_configuration_names_one() {
        let (directory, config) = left("flask_policy = \"p\"");
        policy(&options(&directory, None), &config).unwrap();
    }

    #[test]
    fn a_policy_of_an_earlier_boot_is_not_the_plan() {
        let (directory, config) = left("");
        let error = policy(&options(&directory, None), &config).unwrap_err();
        assert_eq!(error.exit(), Exit::Load);
        let path = directory.path().join("flask.policy");
        assert_eq!(
            report::chain(&error),
            [
                format!("read {}", path.display()),
                "launch.toml names no flask_policy, so none was measured".to_owned()
            ]
        );
        let hint = report::hint(&error).unwrap();
        assert!(hint.contains("--flask-policy"), "{hint}");
    }

    #[test]
    fn a_policy_that_is_given_is_used_whatever_was_left() {
        let (directory, config) = left("");
        let path = directory.path().join("given");
        fs::write(&path, DOMAIN).unwrap();
        policy(&options(&directory, Some(path)), &config).unwrap();
        let (directory, config) = left("flask_policy = \"p\"");
        let absent = directory.path().join("absent");
        policy(&options(&directory, Some(absent)), &config).unwrap_err();
    }
}
