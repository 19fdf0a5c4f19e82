/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What a security check costs: times hypercalls from domain 0, each as a ratio
 * to the CPUID instruction timed beside it, and says how often Flask's cache
 * missed. Run by `platform-xsm` under each kind of XSM; prints one line per
 * sample for it to sum up.
 *
 *   xsm BATCHES CALLS COLD
 *
 * Every hypercall goes through /dev/xen/privcmd, so the cost of the ioctl is
 * in each number; `none` is a hypercall without any check, and what the others
 * cost beyond themselves under another kind of XSM is the checks.
 *
 * Cold samples: one call each after Flask's cache was emptied, which switching
 * enforcement off and on does. They need a policy that allows it; COLD 0
 * leaves them out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define __XEN_TOOLS__ 1
#include <xenctrl.h>
#include <xencall.h>
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/version.h>
#include <xen/sys/gntalloc.h>

/* CPUIDs timed for each call: one alone is too short to time. */
#define CPUIDS 200ul

static xencall_handle *calls;
static xc_interface *control;
static char *page; /* memory Xen can read and write */
static evtchn_port_t port;
static uint32_t grant;

static void die(const char *what)
{
    fprintf(stderr, "xsm: %s: %s\n", what, strerror(errno));
    exit(1);
}

static long must(const char *what, long result)
{
    if (result < 0)
        die(what);
    return result;
}

static void none(void)
{
    must("xen_version", xencall2(calls, __HYPERVISOR_xen_version, XENVER_version, 0));
}

static void xen_version(void)
{
    must("xen_version", xencall2(calls, __HYPERVISOR_xen_version, XENVER_extraversion, (uintptr_t)page));
}

static void getdomaininfo(void)
{
    struct xen_domctl *op = (void *)page;

    memset(op, 0, sizeof(*op));
    op->cmd = XEN_DOMCTL_getdomaininfo;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    must("getdomaininfo", xencall1(calls, __HYPERVISOR_domctl, (uintptr_t)page));
}

static evtchn_port_t evtchn_alloc(void)
{
    struct evtchn_alloc_unbound *op = (void *)page;

    op->dom = DOMID_SELF;
    op->remote_dom = DOMID_SELF;
    must("evtchn alloc", xencall2(calls, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, (uintptr_t)page));
    return op->port;
}

static void evtchn_alloc_close(void)
{
    struct evtchn_close *op = (void *)page;

    op->port = evtchn_alloc();
    must("evtchn close", xencall2(calls, __HYPERVISOR_event_channel_op, EVTCHNOP_close, (uintptr_t)page));
}

static void evtchn_send(void)
{
    struct evtchn_send *op = (void *)page;

    op->port = port;
    must("evtchn send", xencall2(calls, __HYPERVISOR_event_channel_op, EVTCHNOP_send, (uintptr_t)page));
}

/* Maps a page of our own for device access, which needs no page table. */
static void grant_map_unmap(void)
{
    union {
        struct gnttab_map_grant_ref map;
        struct gnttab_unmap_grant_ref unmap;
    } *op = (void *)page;
    grant_handle_t handle;
    uint64_t address;

    memset(op, 0, sizeof(*op));
    op->map.flags = GNTMAP_device_map | GNTMAP_readonly;
    op->map.ref = grant;
    op->map.dom = 0;
    must("grant map", xencall3(calls, __HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (uintptr_t)page, 1));
    if (op->map.status != GNTST_okay) {
        errno = EPERM;
        fprintf(stderr, "xsm: status %d\n", op->map.status);
        die("grant map");
    }
    handle = op->map.handle;
    address = op->map.dev_bus_addr;
    memset(op, 0, sizeof(*op));
    op->unmap.handle = handle;
    op->unmap.dev_bus_addr = address;
    must("grant unmap", xencall3(calls, __HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, (uintptr_t)page, 1));
    if (op->unmap.status != GNTST_okay) {
        errno = EPERM;
        die("grant unmap");
    }
}

static void memory_op(void)
{
    domid_t *op = (void *)page;

    *op = DOMID_SELF;
    must("memory_op", xencall2(calls, __HYPERVISOR_memory_op, XENMEM_current_reservation, (uintptr_t)page));
}

/* Writes nothing: the check is all there is. */
static void console_io(void)
{
    must("console_io", xencall3(calls, __HYPERVISOR_console_io, CONSOLEIO_write, 0, (uintptr_t)page));
}

static const struct {
    const char *name;
    void (*call)(void);
} kinds[] = {
    { "none", none },
    { "xen_version", xen_version },
    { "getdomaininfo", getdomaininfo },
    { "evtchn_alloc_close", evtchn_alloc_close },
    { "evtchn_send", evtchn_send },
    { "grant_map_unmap", grant_map_unmap },
    { "memory_op", memory_op },
    { "console_io", console_io },
};

static uint64_t now(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
    return ((uint64_t)high << 32) | low;
}

static uint64_t time_cpuid(unsigned long count)
{
    uint64_t start = now();

    while (count--) {
        uint32_t a = 0, b, c = 0, d;

        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    }
    return now() - start;
}

static uint64_t time_call(void (*call)(void), unsigned long count)
{
    uint64_t start = now();

    while (count--)
        call();
    return now() - start;
}

static uint64_t misses(void)
{
    xen_flask_op_t op;
    uint64_t sum = 0;
    uint32_t cpu;

    for (cpu = 0; cpu < 2; cpu++) {
        memset(&op, 0, sizeof(op));
        op.cmd = FLASK_AVC_CACHESTATS;
        op.interface_version = XEN_FLASK_INTERFACE_VERSION;
        op.u.cache_stats.cpu = cpu;
        memcpy(page, &op, sizeof(op));
        if (xencall1(calls, __HYPERVISOR_xsm_op, (uintptr_t)page) < 0)
            break; /* no such processor */
        memcpy(&op, page, sizeof(op));
        sum += op.u.cache_stats.misses;
    }
    return sum;
}

/* Empties Flask's cache and leaves enforcement as it was. */
static void empty_cache(int enforcing)
{
    if (enforcing)
        must("switch enforcement off", xc_flask_setenforce(control, 0));
    must("switch enforcement on", xc_flask_setenforce(control, 1));
    if (!enforcing)
        must("switch enforcement off", xc_flask_setenforce(control, 0));
}

static void prepare(void)
{
    struct ioctl_gntalloc_alloc_gref *alloc = calloc(1, sizeof(*alloc));
    struct evtchn_bind_interdomain *bind;
    cpu_set_t one;
    int file;

    CPU_ZERO(&one);
    CPU_SET(0, &one);
    must("stay on one vcpu", sched_setaffinity(0, sizeof(one), &one));
    calls = xencall_open(NULL, 0);
    control = xc_interface_open(NULL, NULL, 0);
    if (!calls || !control)
        die("open Xen's interfaces");
    page = xencall_alloc_buffer(calls, 4096);
    if (!page)
        die("allocate a buffer");

    bind = (void *)page;
    port = evtchn_alloc();
    bind->remote_dom = DOMID_SELF;
    bind->remote_port = port;
    must("bind a channel", xencall2(calls, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain, (uintptr_t)page));
    port = bind->local_port;

    file = must("open gntalloc", open("/dev/xen/gntalloc", O_RDWR));
    alloc->domid = 0;
    alloc->count = 1;
    must("grant a page", ioctl(file, IOCTL_GNTALLOC_ALLOC_GREF, alloc));
    grant = alloc->gref_ids[0];
    free(alloc);
}

int main(int argc, char **argv)
{
    unsigned long batch, batches, count, cold, i;
    int enforcing;

    if (argc != 4)
        return 2;
    batches = strtoul(argv[1], NULL, 10);
    count = strtoul(argv[2], NULL, 10);
    cold = strtoul(argv[3], NULL, 10);
    prepare();
    enforcing = xc_flask_getenforce(control);

    for (batch = 0; batch < batches; batch++)
        for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
            uint64_t before, calls_ticks, cpuid_ticks, missed;

            kinds[i].call();
            before = misses();
            /* Half before and half after, so that a machine that slows down slows both. */
            cpuid_ticks = time_cpuid(CPUIDS * count / 2);
            calls_ticks = time_call(kinds[i].call, count);
            cpuid_ticks += time_cpuid(CPUIDS * count / 2);
            missed = misses() - before;
            printf("sample warm %s %.3f %llu %llu\n", kinds[i].name, (double)CPUIDS * calls_ticks / cpuid_ticks,
                   (unsigned long long)(calls_ticks / count), (unsigned long long)missed);
        }

    if (enforcing < 0)
        cold = 0;
    for (batch = 0; batch < cold; batch++)
        for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
            uint64_t before, calls_ticks, cpuid_ticks, missed;

            kinds[i].call();
            empty_cache(enforcing);
            before = misses();
            calls_ticks = time_call(kinds[i].call, 1);
            missed = misses() - before;
            cpuid_ticks = time_cpuid(100 * CPUIDS);
            printf("sample cold %s %.3f %llu %llu\n", kinds[i].name, 100.0 * CPUIDS * calls_ticks / cpuid_ticks,
                   (unsigned long long)calls_ticks, (unsigned long long)missed);
        }
    printf("enforcing %d\n", enforcing);
    return 0;
}
