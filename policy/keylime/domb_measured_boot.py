# SPDX-License-Identifier: Apache-2.0 OR MIT
"""domb's launches as a measured-boot policy of Keylime's verifier.

Keylime parses the event log with tpm2_eventlog, replays it and compares the
result with the quoted PCRs; then it asks a policy whether the events are
those of the reference state. This policy compares the events in domb's PCR,
in order and in every bank of the log, with what `domb predict
--keylime-refstate` wrote, and names each one that differs. It trusts the
reference state. The log is not trusted: nothing in it but digests decides,
and names are taken from the reference state.

In the verifier's configuration, with this directory in PYTHONPATH:

    measured_boot_imports = ["domb_measured_boot"]
    measured_boot_policy_name = "domb"

"domb" is for PCR 13; "domb-8" to "domb-15" are for a launch with another.
"""

from keylime.mba.elchecking import policies, tests

VERSION = 1
# All that tpm2_eventlog names and domb computes.
SIZES = {"sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}
# A reason is one line of a log.
MOST_DIFFERENCES = 8


class Launch(tests.Test):
    """The events of one complete launch."""

    def __init__(self, pcr, events):
        super().__init__()
        self.pcr = pcr
        self.events = events

    def why_not(self, globs, subject):
        differences = self.differences(subject)
        shown = differences[:MOST_DIFFERENCES]
        if len(differences) > len(shown):
            shown.append(f"and {len(differences) - len(shown)} more")
        return "; ".join(shown)

    def differences(self, subject):
        found = events_of(subject, self.pcr)
        if not found:
            return [f"the log has no event of domb in PCR {self.pcr}"]
        differences = []
        for expected, event in zip(self.events, found):
            difference = compare(expected, event)
            if difference:
                differences.append(f"{expected['name']} {difference}")
        if len(found) < len(self.events):
            differences.append(f"the log ends before {self.events[len(found)]['name']}")
        if len(found) > len(self.events):
            differences.append(f"{len(found) - len(self.events)} more events follow the launch")
        return differences


class AnyLaunch(tests.Test):
    """One launch of several, as while an update is rolled out."""

    def __init__(self, launches):
        super().__init__()
        self.launches = launches

    def why_not(self, globs, subject):
        nearest = min(self.launches, key=lambda launch: len(launch.differences(subject)))
        return nearest.why_not(globs, subject)


def events_of(log, pcr):
    """The events that extend this PCR."""
    events = log.get("events") if isinstance(log, dict) else None
    if not isinstance(events, list):
        return []
    return [
        event
        for event in events
        if isinstance(event, dict) and event.get("PCRIndex") == pcr and event.get("EventType") != "EV_NO_ACTION"
    ]


def compare(expected, event):
    """How an event differs from the expected one; empty if it does not."""
    digests = event.get("Digests")
    if not isinstance(digests, list) or not digests:
        return "has no digest in the log"
    # SHA-256 first: it is the bank a person has at hand.
    for bank, found in sorted(map(bank_and_digest, digests), key=lambda digest: digest[0] != "sha256"):
        wanted = expected["digests"].get(bank)
        if wanted is None:
            return f"has a {bank} digest in the log, and no reference value"
        if found != wanted:
            return f"changed ({bank} {shown(wanted)} -> {shown(found)})"
    return ""


def bank_and_digest(digest):
    return (digest.get("AlgorithmId"), digest.get("Digest")) if isinstance(digest, dict) else (None, None)


def shown(digest):
    # The digest of a part that is absent is all zero.
    if isinstance(digest, str) and not digest.strip("0"):
        return "absent"
    return digest


def read(refstate, pcr):
    """The launches of a reference state; raises an exception that says what is wrong with it."""
    if not isinstance(refstate, dict) or refstate.get("domb") != VERSION:
        raise ValueError(f"the reference state is none of version {VERSION} that domb predict wrote")
    if refstate.get("pcr") != pcr:
        raise ValueError(f"the reference state is for PCR {refstate.get('pcr')}, this policy for PCR {pcr}")
    tests.list_test(tests.list_test(tests.obj_test(name=tests.type_test(str), digests=digests_test)))(
        refstate.get("launches")
    )
    if not refstate["launches"] or not all(refstate["launches"]):
        raise ValueError("the reference state has no launch, or one without events")
    return [Launch(pcr, events) for events in refstate["launches"]]


def digests_test(digests):
    tests.dict_test(tests.type_test(str), tests.type_test(str))(digests)
    for bank, digest in digests.items():
        if len(digest) != SIZES.get(bank) or set(digest) - set("0123456789abcdef"):
            raise ValueError(f"{digest!r} is no {bank} digest in lower-case digits")
    return True


class DombLaunch(policies.Policy):
    """The policy for the launches of a platform that owns this PCR."""

    def __init__(self, pcr):
        self.pcr = pcr

    def get_relevant_pcrs(self):
        return frozenset([self.pcr])

    def refstate_to_test(self, refstate):
        return AnyLaunch(read(refstate, self.pcr))


policies.register("domb", DombLaunch(13))
for index in range(8, 16):
    policies.register(f"domb-{index}", DombLaunch(index))
