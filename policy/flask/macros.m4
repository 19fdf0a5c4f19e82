changequote([,])dnl
# SPDX-License-Identifier: Apache-2.0 OR MIT
# The vocabulary of the policy. A .te file of this directory, or an
# integrator's own, says what a label is with these macros and says everything
# else with plain rules. Brackets quote; a macro call ends without semicolon.
dnl
dnl The labels of the user's domains, so that the promises can name each pair.
define([guest_labels], [])dnl
dnl
dnl label(NAME, attribute...)
dnl   A label that domains can carry. Three types come of it: NAME; NAME_self,
dnl   which Xen uses when such a domain acts on itself; NAME_channel, which its
dnl   event channels carry. The domain may do to itself what any domain must.
define([label], [
type $1, domain_type[]ifelse([$#], [1], [], [, shift($@)]);
type $1_self, domain_type, self_type;
type $1_channel, event_type;
type_transition $1 $1:domain $1_self;
type_transition $1 domain_type:event $1_channel;
allow $1 $1_self:grant { setup query };
allow $1 $1_self:mmu { map_read map_write adjust physmap stat pinpage updatemp mmuext_op };
allow $1 $1_self:hvm { getparam setparam };
allow $1 $1_self:event reset;
allow $1 $1_self:domain2 get_vnumainfo;
allow $1 $1_channel:event { create send };
])dnl
dnl
dnl channel(A, B)
dnl   Domains labelled A and B may have event channels between them.
define([channel], [
allow $1_channel $2:event bind;
allow $2_channel $1:event bind;
])dnl
dnl
dnl connect(A, B)
dnl   Domains labelled A and B may exchange events, and each may map and copy
dnl   what the other grants it. The only way two guests ever reach each other.
define([connect], [
channel([$1], [$2])
allow $1 $2:grant { map_read map_write unmap copy };
allow $2 $1:grant { map_read map_write unmap copy };
define([connected_$1_$2], [yes])define([connected_$2_$1], [yes])dnl
])dnl
dnl
dnl builds(BUILDER, LABEL)
dnl   What libxl does to make a PV or PVH domain, to unpause it, and to take it
dnl   back when its creation fails.
define([builds], [
allow $1 $2:domain { create max_vcpus setdomainmaxmem setaddrsize setaffinity getscheduler
	getdomaininfo setvcpucontext setpagingmempool unpause pause destroy };
allow $1 $2:domain2 { set_cpu_policy settsc setscheduler setclaim resource_map };
allow $1 $2:mmu { map_read map_write adjust memorymap mmuext_op pinpage };
allow $1 $2:hvm { setparam gethvmc sethvmc altp2mhvm };
allow $1 $2_channel:event create;
])dnl
dnl
dnl manages(CONTROL, LABEL)
dnl   What a control domain does to a running domain. It cannot look into it.
define([manages], [
allow $1 $2:domain { getdomaininfo getvcpuinfo getaffinity setaffinity getscheduler
	setdomainmaxmem pause unpause shutdown destroy trigger };
allow $1 $2:domain2 setscheduler;
])dnl
dnl
dnl guest_label(NAME)
dnl   A label for the user's domains, as an integrator declares it: domb and
dnl   the control domain may build it, the control domain manages it, store and
dnl   console serve it, and it reaches nobody else until a connect() says so.
define([guest_label], [
label([$1], [guest_type])
builds([domb_t], [$1])
ifdef([exit_domain], [
builds([ctrl_t], [$1])
manages([ctrl_t], [$1])
], [
builds([dom0_t], [$1])
manages([dom0_t], [$1])
])
define([guest_labels], ifelse(defn([guest_labels]), [], [[$1]], [defn([guest_labels])[,$1]]))dnl
])dnl
dnl
dnl holds(LABEL)
dnl   Domains labelled LABEL may be given ranges of the machine: pages of I/O
dnl   memory, I/O ports, interrupts. Which, the launch configuration says; the
dnl   boot domain gives them, and after it nobody can.
define([holds], [
allow domb_t $1:resource add;
allow $1 { irq_t ioport_t iomem_t }:resource { use_iommu use_iommu_nointremap use_noiommu };
])dnl
dnl
dnl device_label(NAME)
dnl   A guest_label() for a domain with devices of its own.
define([device_label], [
guest_label([$1])
holds([$1])
])dnl
dnl
dnl for_each(VARIABLE, (A,B,...), BODY)
define([for_each], [pushdef([$1])_for_each([$1], $2, [$3])popdef([$1])])dnl
define([_first], [$1])dnl
define([_rest], [(shift($@))])dnl
define([_for_each], [ifelse([$2], [()], [],
	[define([$1], _first$2)$3[]ifelse(_count$2, [1], [], [_for_each([$1], _rest$2, [$3])])])])dnl
define([_count], [$#])dnl
