/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Attempts one thing that a label must not allow, by the hypercall itself, and
 * says what came of it: `probe: WHAT: allowed`, `refused, ERRNO`, or another
 * errno. No tool stands between, so what refuses is Xen.
 *
 *   probe map DOMID       map a page of that domain by its frame
 *   probe grant DOMID     map a grant of that domain
 *   probe destroy DOMID   destroy that domain
 *   probe pause DOMID     pause that domain
 *   probe create          create a domain with a guest's label
 *   probe policy          load a policy
 *   probe device FRAME    map a frame of the machine that is a device
 *   probe iomem FRAME DOMID    give that domain the right to such a frame
 *   probe ioport PORT DOMID    give that domain an I/O port
 *   probe irq NUMBER      have that interrupt delivered
 *   probe apic            read the I/O APIC
 *   probe pci             tell Xen of a new PCI device
 *   probe sleep           put the machine into ACPI state S5
 *
 * The exit status is 0 when it was refused with "not permitted", 1 when it was
 * allowed, 2 when it could not be tried or failed otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sys/privcmd.h>
#include <xen/xsm/flask_op.h>

#define PAGE 4096ul
/* The initial SID of a domain that was given no label (flask/policy/initial_sids). */
#define SECINITSID_DOMU 12

static int told(const char *what, long result)
{
    int refused = result == -EPERM || result == -EACCES;

    printf("probe: %s: %s\n", what,
           result >= 0 ? "allowed" : result == -EPERM ? "refused, EPERM" :
           refused ? "refused, EACCES" : strerror(-result));
    fflush(stdout);
    return result >= 0 ? 1 : refused ? 0 : 2;
}

static int cannot(const char *what)
{
    printf("probe: cannot try: %s: %s\n", what, strerror(errno));
    return 2;
}

/* A page for a hypercall's argument: present, and not moved meanwhile. */
static void *argument(void)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);

    return page == MAP_FAILED ? NULL : page;
}

static long hypercall(int file, uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
    privcmd_hypercall_t call = { op, { a, b, c } };
    long result = ioctl(file, IOCTL_PRIVCMD_HYPERCALL, &call);

    return result == -1 ? -errno : result;
}

static int map(int file, const char *what, domid_t domid, xen_pfn_t frame)
{
    int error = 0;
    void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    privcmd_mmapbatch_v2_t batch = {
        .num = 1, .dom = domid, .addr = (uintptr_t)at, .arr = &frame, .err = &error,
    };

    if (at == MAP_FAILED)
        return cannot("a mapping of privcmd");
    if (ioctl(file, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch) < 0)
        return told(what, -errno);
    return told(what, error);
}

static int grant(int file, domid_t domid)
{
    struct gnttab_map_grant_ref *op = argument();
    long result;

    if (!op)
        return cannot("memory");
    op->ref = GNTTAB_RESERVED_XENSTORE;
    op->dom = domid;
    op->flags = GNTMAP_device_map | GNTMAP_readonly;
    result = hypercall(file, __HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (uintptr_t)op, 1);
    if (result == 0 && op->status != GNTST_okay)
        result = op->status == GNTST_permission_denied ? -EPERM : -EINVAL;
    return told("grant", result);
}

/* A domctl, of which the rest of the argument is filled in already. */
static int domctl(int file, const char *what, struct xen_domctl *op, uint32_t cmd, domid_t domid)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domid;
    return told(what, hypercall(file, __HYPERVISOR_domctl, (uintptr_t)op, 0, 0));
}

static int on_domain(int file, const char *what, uint32_t cmd, domid_t domid)
{
    struct xen_domctl *op = argument();

    return op ? domctl(file, what, op, cmd, domid) : cannot("memory");
}

/* What Xen would make a PV domain of. */
static int create(int file)
{
    struct xen_domctl *op = argument();

    if (!op)
        return cannot("memory");
    op->u.createdomain.ssidref = SECINITSID_DOMU;
    op->u.createdomain.max_vcpus = 1;
    op->u.createdomain.max_evtchn_port = 1023;
    op->u.createdomain.max_grant_frames = -1;
    op->u.createdomain.max_maptrack_frames = -1;
    op->u.createdomain.grant_opts = XEN_DOMCTL_GRANT_version(1);
    return domctl(file, "create", op, XEN_DOMCTL_createdomain, 0);
}

static int iomem(int file, uint64_t frame, domid_t domid)
{
    struct xen_domctl *op = argument();

    if (!op)
        return cannot("memory");
    op->u.iomem_permission.first_mfn = frame;
    op->u.iomem_permission.nr_mfns = 1;
    op->u.iomem_permission.allow_access = 1;
    return domctl(file, "iomem", op, XEN_DOMCTL_iomem_permission, domid);
}

static int ioport(int file, uint32_t port, domid_t domid)
{
    struct xen_domctl *op = argument();

    if (!op)
        return cannot("memory");
    op->u.ioport_permission.first_port = port;
    op->u.ioport_permission.nr_ports = 1;
    op->u.ioport_permission.allow_access = 1;
    return domctl(file, "ioport", op, XEN_DOMCTL_ioport_permission, domid);
}

static int policy(int file)
{
    struct xen_flask_op *op = argument();

    if (!op)
        return cannot("memory");
    op->cmd = FLASK_LOAD;
    op->interface_version = XEN_FLASK_INTERFACE_VERSION;
    return told("policy", hypercall(file, __HYPERVISOR_xsm_op, (uintptr_t)op, 0, 0));
}

/* The first I/O APIC of a PC. */
static int apic(int file)
{
    struct physdev_apic *op = argument();

    if (!op)
        return cannot("memory");
    op->apic_physbase = 0xfec00000;
    return told("apic", hypercall(file, __HYPERVISOR_physdev_op, PHYSDEVOP_apic_read, (uintptr_t)op, 0));
}

/* 00:1f.7, which is no device of the reference platform. */
static int pci(int file)
{
    struct physdev_manage_pci *op = argument();

    if (!op)
        return cannot("memory");
    op->devfn = 0x1f << 3 | 7;
    return told("pci", hypercall(file, __HYPERVISOR_physdev_op, PHYSDEVOP_manage_pci_add, (uintptr_t)op, 0));
}

static int sleep_machine(int file)
{
    struct xen_platform_op *op = argument();

    if (!op)
        return cannot("memory");
    op->cmd = XENPF_enter_acpi_sleep;
    op->interface_version = XENPF_INTERFACE_VERSION;
    op->u.enter_acpi_sleep.sleep_state = 5;
    return told("sleep", hypercall(file, __HYPERVISOR_platform_op, (uintptr_t)op, 0, 0));
}

static int irq(int file, uint32_t number)
{
    struct evtchn_bind_pirq *op = argument();

    if (!op)
        return cannot("memory");
    op->pirq = number;
    return told("irq", hypercall(file, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_pirq,
                                 (uintptr_t)op, 0));
}

int main(int argc, char **argv)
{
    int file = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    const char *what = argc > 1 ? argv[1] : "";
    unsigned long number = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;

    if (file < 0)
        return cannot("/dev/xen/privcmd");
    if (argc == 3) {
        if (!strcmp(what, "map"))
            return map(file, what, number, 0x1000);
        if (!strcmp(what, "grant"))
            return grant(file, number);
        if (!strcmp(what, "destroy"))
            return on_domain(file, what, XEN_DOMCTL_destroydomain, number);
        if (!strcmp(what, "pause"))
            return on_domain(file, what, XEN_DOMCTL_pausedomain, number);
        if (!strcmp(what, "device"))
            return map(file, what, DOMID_IO, number);
        if (!strcmp(what, "irq"))
            return irq(file, number);
    } else if (argc == 4) {
        if (!strcmp(what, "iomem"))
            return iomem(file, number, atoi(argv[3]));
        if (!strcmp(what, "ioport"))
            return ioport(file, number, atoi(argv[3]));
    } else if (argc == 2) {
        if (!strcmp(what, "create"))
            return create(file);
        if (!strcmp(what, "policy"))
            return policy(file);
        if (!strcmp(what, "apic"))
            return apic(file);
        if (!strcmp(what, "pci"))
            return pci(file);
        if (!strcmp(what, "sleep"))
            return sleep_machine(file);
    }
    fputs("usage: probe map|grant|destroy|pause DOMID | device FRAME | irq NUMBER |\n"
          "       probe iomem FRAME DOMID | ioport PORT DOMID |\n"
          "       probe create | policy | apic | pci | sleep\n", stderr);
    return 2;
}
