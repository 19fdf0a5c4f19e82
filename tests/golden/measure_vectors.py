#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR MIT
"""A second implementation of domb's measurement.

Written from domb/core/src/measure/README.md and nothing else: computes the
events, the event log and the PCR values of each vector from its inputs, and
compares them with what domb computed. Exits non-zero where they differ.

    tests/golden/measure_vectors.py tests/golden/measure-*.json
"""

import hashlib
import json
import re
import struct
import sys
import tomllib
import uuid

BANKS = {"sha1": 0x0004, "sha256": 0x000B, "sha384": 0x000C, "sha512": 0x000D}
COMPONENTS = [
    "start", "configuration", "launch-script", "flask-policy", "control-ramdisk", "control-config",
    "kernel", "ramdisk", "cmdline", "domain-config", "verdict", "final",
]
UNITS = {"M": 1, "MiB": 1, "MB": 1, "G": 1024, "GiB": 1024, "GB": 1024}


def canonical(value):
    """Section 3. Neither vectors nor domb's own texts hold other numbers than integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def mib(text):
    amount, unit = re.fullmatch(r"(\d+)\s*([A-Za-z]+)", text).groups()
    return int(amount) * UNITS[unit]


def delegated(domain):
    """The ranges that are written in the domain's own table."""
    words = {"iomem": "iomem", "ioports": "ioports", "irqs": "irq", "pci": "pci"}
    return sorted({f"{word} {value}" for key, word in words.items() for value in domain.get(key, [])})


def domain_config(domain, files):
    optional = {}
    if "images" in domain:
        def digest(path):
            return hashlib.sha256(files[path]["content"].encode()).hexdigest() if path else None
        optional["images"] = {
            image["name"]: {"kernel": digest(image["kernel"]), "ramdisk": digest(image.get("ramdisk"))}
            for image in domain["images"]
        }
    return optional | {
        "after": sorted(domain.get("after", [])),
        "delegated": delegated(domain),
        "devices": [],
        "domid": domain["domid"],
        "libxl": domain.get("libxl", {}),
        "maxmem_mib": mib(domain.get("maxmem", domain["memory"])),
        "memory_mib": mib(domain["memory"]),
        "name": domain["name"],
        "on_failure": domain.get("on_failure", "stop"),
        "roles": [],
        "seclabel": domain.get("seclabel"),
        "type": domain["type"],
        "uuid": str(uuid.UUID(domain["uuid"])),
        "vcpus": domain.get("vcpus", 1),
    }


class Launch:
    def __init__(self, given):
        self.given = given
        self.config = tomllib.loads(given["configuration"])
        self.events = []

    def add(self, component, measured, domain=None, **says):
        """measured: the bytes, or None for an absent part."""
        entry = {"component": component, **says}
        if domain is not None:
            entry["domain"] = domain
        if measured is None:
            entry["absent"] = True
        digests = {
            bank: hashlib.new(bank, measured).digest() if measured is not None else bytes(hashlib.new(bank).digest_size)
            for bank in self.given["banks"]
        }
        text = canonical(entry)
        tag = 0x444F4D01 + COMPONENTS.index(component)
        self.events.append((entry, digests, struct.pack("<II", tag, len(text)) + text))

    def text(self, component, text, domain=None):
        self.add(component, text, domain, text=text.decode())

    def file(self, component, path, domain=None):
        if path is None:
            return self.add(component, None, domain)
        file = self.given["files"][path]
        content = file["content"].encode()
        says = {"path": path, "bytes": len(content)}
        if "original" in file:
            says["original"] = file["original"]
        return self.add(component, content, domain, **says)

    def measure(self):
        config, given = self.config, self.given
        domains = sorted(config["domain"], key=lambda domain: domain["domid"])
        control = config.get("control")
        self.text("start", canonical({"format": 1, "log": "domb launch"}))
        configuration = given["configuration"].encode()
        self.add("configuration", configuration, bytes=len(configuration))
        self.file("launch-script", config.get("script"))
        self.file("flask-policy", config.get("flask_policy"))
        self.file("control-ramdisk", control.get("ramdisk") if control else None)
        if control:
            label = {"seclabel": control["seclabel"]} if "seclabel" in control else {}
            self.text("control-config", canonical(label | {
                "args": control.get("args", []), "exit": config.get("exit", "process"), "init": control["init"],
            }))
        else:
            self.add("control-config", None)
        for domain in domains:
            name = domain["name"]
            self.file("kernel", domain["kernel"], name)
            self.file("ramdisk", domain.get("ramdisk"), name)
            self.text("cmdline", domain.get("cmdline", "").encode(), name)
            self.text("domain-config", canonical(domain_config(domain, given["files"])), name)
        if given["allowed"] is not None:
            withheld = {"withheld": sorted(given["withheld"])} if given.get("withheld") else {}
            self.text("verdict", canonical(withheld | {"domains": [self.decided(domain) for domain in domains]}))
        left_out = [domain["name"] for domain in domains if domain["name"] in given["left_out"]]
        self.text("final", canonical({"left_out": left_out, "outcome": given["outcome"]}))

    def decided(self, domain):
        name = domain["name"]
        verdict = "allow" if name in self.given["allowed"] else "deny"
        decided = {"domid": domain["domid"], "name": name, "verdict": verdict}
        if name in self.given.get("changes", {}):
            decided["changes"] = self.given["changes"][name]
        return decided

    def log(self):
        banks = self.given["banks"]
        spec_id = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(banks))
        for bank in banks:
            spec_id += struct.pack("<HH", BANKS[bank], hashlib.new(bank).digest_size)
        spec_id += b"\0"
        log = struct.pack("<II20sI", 0, 3, bytes(20), len(spec_id)) + spec_id
        for _, digests, data in self.events:
            log += struct.pack("<III", self.pcr(), 6, len(banks))
            for bank in banks:
                log += struct.pack("<H", BANKS[bank]) + digests[bank]
            log += struct.pack("<I", len(data)) + data
        return log

    def pcr(self):
        return self.config.get("measure", {}).get("pcr", 13)

    def values(self):
        values = {}
        for bank in self.given["banks"]:
            value = bytes(hashlib.new(bank).digest_size)
            for _, digests, _ in self.events:
                value = hashlib.new(bank, value + digests[bank]).digest()
            values[bank] = value.hex()
        return values


def check(path):
    with open(path, encoding="utf-8") as file:
        vector = json.load(file)
    launch = Launch(vector["input"])
    launch.measure()
    events = [
        {"entry": entry, "digests": {bank: digest.hex() for bank, digest in digests.items()}, "data": data.hex()}
        for entry, digests, data in launch.events
    ]
    computed = {"events": events, "log": launch.log().hex(), "values": launch.values()}
    same = computed == vector["expected"]
    print(f"{'ok  ' if same else 'FAIL'} {path}: {len(events)} events")
    if not same:
        for number, (own, theirs) in enumerate(zip(events, vector["expected"]["events"])):
            if own != theirs:
                print(f"     event {number}: {own} is not {theirs}")
    return same


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(0 if all([check(path) for path in sys.argv[1:]]) else 1)
