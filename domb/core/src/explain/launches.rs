// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults of readiness and of what a failure means: C090 to C099.

use super::{Code, Explanation};

pub(super) const TABLE: &[Explanation] = &[
    Explanation {
        code: Code::ReadyNothing,
        title: "`ready` waits for nothing",
        cause: "Domains that start after this one would never be started, or at once, which needs \
                no `ready`.",
        wrong: "ready = { timeout = \"30s\" }",
        right: "ready = { xenstore = \"data/ready\", timeout = \"30s\" }",
        remedy: "Name one of xenstore, console, backend or running = true; where several are named, \
                 all must hold. Or leave `ready` out.",
    },
    Explanation {
        code: Code::ReadyAlone,
        title: "a key of `ready` without the one it belongs to",
        cause: "`equals` says what the node of `xenstore` holds, `state` what the device of \
                `backend` has come to.",
        wrong: "ready = { console = \"login:\", equals = \"1\" }",
        right: "ready = { xenstore = \"data/ready\", equals = \"1\" }",
        remedy: "Add the other key, or take this one out.",
    },
    Explanation {
        code: Code::StorePath,
        title: "a path that XenStore does not take",
        cause: "XenStore would refuse to look there, and the domain would never be ready.",
        wrong: "ready = { xenstore = \"data/is ready\" }",
        right: "ready = { xenstore = \"data/is-ready\" }",
        remedy: "Use letters, digits, - and _ between slashes. Without a slash in front the path \
                 counts from the domain's own, /local/domain/DOMID.",
    },
    Explanation {
        code: Code::ConsolePattern,
        title: "a text that no line can be told by",
        cause: "Lines are compared as text: a part of the line, in which * stands for any text.",
        wrong: "ready = { console = \"*\" }",
        right: "ready = { console = \"listening on *:80\" }",
        remedy: "Write a part of the line that is always there, of at most 200 bytes.",
    },
    Explanation {
        code: Code::BackendDevice,
        title: "a device that no domain has",
        cause: "The device is looked up below the domain's own nodes, device/KIND/NUMBER.",
        wrong: "ready = { backend = \"xvda\" }",
        right: "ready = { backend = \"vbd/51712\" }",
        remedy: "Write kind and number as XenStore has them: vbd/51712 is xvda, vif/0 the first \
                 network card.",
    },
    Explanation {
        code: Code::Timeout,
        title: "a `timeout` that is no time",
        cause: "A launch has to end: every wait has a bound, from 100ms to 1h.",
        wrong: "ready = { running = true, timeout = \"30\" }",
        right: "ready = { running = true, timeout = \"30s\" }",
        remedy: "Write a whole number and one of the units ms, s, m and h.",
    },
    Explanation {
        code: Code::Retries,
        title: "a number of retries that is none",
        cause: "A launch has to end, and each attempt takes as long as the first.",
        wrong: "on_failure = \"retry\"",
        right: "on_failure = \"retry 2\"",
        remedy: "Write how many attempts follow the first, 1 to 9.",
    },
    Explanation {
        code: Code::Substitute,
        title: "a domain that cannot take another's place",
        cause: "A substitute has standby = true, is the substitute of one domain only, and does not \
                itself start after that one.",
        wrong: "[[domain]]\nname = \"web\"\ndomid = 7\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\non_failure = \"substitute spare\"\n\n\
                [[domain]]\nname = \"spare\"\ndomid = 9\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"",
        right: "[[domain]]\nname = \"web\"\ndomid = 7\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\non_failure = \"substitute spare\"\n\n\
                [[domain]]\nname = \"spare\"\ndomid = 9\ntype = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"256M\"\nstandby = true",
        remedy: "Name a domain of this file that has standby = true.",
    },
    Explanation {
        code: Code::Standby,
        title: "a domain on standby that nobody needs, or that somebody waits for",
        cause: "It is started only in the place of the domain whose `on_failure` names it. Whoever \
                starts after that domain starts after its substitute.",
        wrong: "standby = true",
        right: "standby = false",
        remedy: "Write on_failure = \"substitute NAME\" where it shall take the place, and leave it \
                 out of every `after`.",
    },
    Explanation {
        code: Code::Recovery,
        title: "a recovery that cannot be",
        cause: "on_failure = \"recover\" needs a domain to start.",
        wrong: "on_failure = \"recover\"",
        right: "on_failure = \"stop\"",
        remedy: "Give a domain roles = [\"recovery\"].",
    },
];
