# SPDX-License-Identifier: Apache-2.0 OR MIT
# The table ./permissions as rules about the labels of labels.te.
function rule(source, target) { printf "allow %s %s:%s %s;\n", source, target, $1, $2 }
/^#/ || NF == 0 { next }
{
    all = $3 == "xen" ? "xen_type" : $3 == "domain" ? "{ domain_type xen_type }" : \
          $3 == "channel" ? "event_type" : $3 == "resource" ? "{ resource_type xen_type }" : ""
    if (all == "" && $4 != "PASSIVE" && $4 != "FLASK") { print "no rule for " $0 > "/dev/stderr"; exit 1 }
}
$4 == "ANY"  { rule("domain_type", $3 == "xen" ? "xen_t" : $3 == "domain" ? "domain_type" : "event_type") }
$4 == "SELF" {
    suffix = $3 == "channel" ? "_channel" : "_self"
    for (n = split("domU_t dm_dom_t xenstore_t", kind, " "); n; n--) rule(kind[n], kind[n] suffix)
    rule("dm_dom_t", $3 == "channel" ? "domU_t_channel" : "domU_t_target")
}
$4 == "DM" && $3 == "domain" { rule("dm_dom_t", "domU_t_target") }
$4 == "STORE" { rule("xenstore_t", "domain_type") }
$4 ~ /^(SELF|DM|STORE|CONSOLE|PRIV)$/ { rule("dom0_t", all) }
$4 == "PASSIVE" && $3 == "resource" { rule("domain_type", "resource_type") }
$4 == "PASSIVE" && $1 == "event" { rule("event_type", "domain_type") }
$4 == "PASSIVE" && $2 == "set_target" { rule("dm_dom_t", "domU_t") }
