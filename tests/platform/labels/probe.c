/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Attempts one thing that a label must not allow, by the hypercall itself, and
 * says what came of it: `probe: WHAT: allowed`, `refused`, or another errno. No
 * tool stands between, so what refuses is Xen.
 *
 *   probe map DOMID     map a page of that domain by its frame
 *   probe grant DOMID   map a grant of that domain
 *   probe destroy DOMID destroy that domain
 *   probe sleep         put the machine into ACPI state S5
 *   probe irq NUMBER    have that interrupt delivered
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
#include <xen/platform.h>
#include <xen/sys/privcmd.h>

#define PAGE 4096ul

static int told(const char *what, long result)
{
    int refused = result == -EPERM || result == -EACCES;

    printf("probe: %s: %s\n", what,
           result >= 0 ? "allowed" : refused ? "refused" : strerror(-result));
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

static int map(int file, domid_t domid)
{
    xen_pfn_t frame = 0x1000;
    int error = 0;
    void *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    privcmd_mmapbatch_v2_t batch = {
        .num = 1, .dom = domid, .addr = (uintptr_t)at, .arr = &frame, .err = &error,
    };

    if (at == MAP_FAILED)
        return cannot("a mapping of privcmd");
    if (ioctl(file, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch) < 0)
        return told("map", -errno);
    return told("map", error);
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

static int destroy(int file, domid_t domid)
{
    struct xen_domctl *op = argument();

    if (!op)
        return cannot("memory");
    op->cmd = XEN_DOMCTL_destroydomain;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domid;
    return told("destroy", hypercall(file, __HYPERVISOR_domctl, (uintptr_t)op, 0, 0));
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

    if (file < 0)
        return cannot("/dev/xen/privcmd");
    if (argc == 3 && !strcmp(argv[1], "map"))
        return map(file, atoi(argv[2]));
    if (argc == 3 && !strcmp(argv[1], "grant"))
        return grant(file, atoi(argv[2]));
    if (argc == 3 && !strcmp(argv[1], "destroy"))
        return destroy(file, atoi(argv[2]));
    if (argc == 3 && !strcmp(argv[1], "irq"))
        return irq(file, atoi(argv[2]));
    if (argc == 2 && !strcmp(argv[1], "sleep"))
        return sleep_machine(file);
    fputs("usage: probe map DOMID | grant DOMID | destroy DOMID | irq NUMBER | sleep\n", stderr);
    return 2;
}
