#include "kernel.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* Never freed: another thread may be reading it. */
struct kernel_filter {
    struct kernel_filter *next;
    _Atomic bool failed; /* the kernel refused it */
    bool strict;
    uint32_t length;
    struct sock_filter code[];
};

static USED_AT_START _Atomic(struct kernel_filter *) filters;

/* The arguments are read first: what a sanitizer calls for that would change the registers. */
static long call(long number, const long arguments[static 6])
{
    const long first = arguments[0], second = arguments[1], third = arguments[2], fourth = arguments[3], fifth = arguments[4], sixth = arguments[5];
#if defined(__x86_64__)
    register long d __asm__("r10");
    register long e __asm__("r8");
    register long f __asm__("r9");
    long result = number;

    d = fourth;
    e = fifth;
    f = sixth;
    __asm__ volatile("syscall" : "+a"(result) : "D"(first), "S"(second), "d"(third), "r"(d), "r"(e), "r"(f) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long n __asm__("x8");
    register long a __asm__("x0");
    register long b __asm__("x1");
    register long c __asm__("x2");
    register long d __asm__("x3");
    register long e __asm__("x4");
    register long f __asm__("x5");

    n = number;
    a = first;
    b = second;
    c = third;
    d = fourth;
    e = fifth;
    f = sixth;
    __asm__ volatile("svc 0" : "+r"(a) : "r"(n), "r"(b), "r"(c), "r"(d), "r"(e), "r"(f) : "memory");
    return a;
#endif
}

/* BPF's arithmetic (linux/filter.h). */
static uint32_t compute(uint16_t code, uint32_t a, uint32_t b)
{
    switch (BPF_OP(code)) {
    case BPF_ADD: return a + b;
    case BPF_SUB: return a - b;
    case BPF_MUL: return a * b;
    case BPF_DIV: return b != 0 ? a / b : 0;
    case BPF_OR: return a | b;
    case BPF_AND: return a & b;
    case BPF_LSH: return b < 32 ? a << b : 0;
    case BPF_RSH: return b < 32 ? a >> b : 0;
    case BPF_XOR: return a ^ b;
    case BPF_NEG: return -a;
    default: return 0;
    }
}

static bool jumps(uint16_t code, uint32_t a, uint32_t b)
{
    switch (BPF_OP(code)) {
    case BPF_JEQ: return a == b;
    case BPF_JGT: return a > b;
    case BPF_JGE: return a >= b;
    default: return (a & b) != 0; /* BPF_JSET */
    }
}

/* Return the filter's result, as the kernel computes it; SECCOMP_RET_KILL_PROCESS for a program that the kernel would refuse. */
static uint32_t answer_of(const struct kernel_filter *filter, const struct seccomp_data *data)
{
    uint32_t memory[BPF_MEMWORDS] = {0};
    uint32_t a = 0;
    uint32_t x = 0;

    for (uint32_t at = 0; at < filter->length; at++) {
        const struct sock_filter *step = &filter->code[at];
        uint32_t operand = BPF_SRC(step->code) == BPF_X ? x : step->k;
        uint32_t loaded = step->k; /* BPF_IMM */

        switch (BPF_CLASS(step->code)) {
        case BPF_LD:
        case BPF_LDX:
            if (BPF_MODE(step->code) == BPF_ABS && step->k <= sizeof(*data) - sizeof(loaded))
                memcpy(&loaded, (const char *)data + step->k, sizeof(loaded));
            else if (BPF_MODE(step->code) == BPF_LEN)
                loaded = sizeof(*data);
            else if (BPF_MODE(step->code) == BPF_MEM)
                loaded = memory[step->k % BPF_MEMWORDS];
            *(BPF_CLASS(step->code) == BPF_LD ? &a : &x) = loaded;
            break;
        case BPF_ST: memory[step->k % BPF_MEMWORDS] = a; break;
        case BPF_STX: memory[step->k % BPF_MEMWORDS] = x; break;
        case BPF_ALU: a = compute(step->code, a, operand); break;
        case BPF_JMP:
            if (BPF_OP(step->code) == BPF_JA)
                at += step->k < filter->length ? step->k : filter->length;
            else
                at += jumps(step->code, a, operand) ? step->jt : step->jf;
            break;
        case BPF_RET: return BPF_RVAL(step->code) == BPF_A ? a : step->k;
        default: /* BPF_MISC */
            if (BPF_MISCOP(step->code) == BPF_TAX)
                x = a;
            else
                a = x;
        }
    }
    return SECCOMP_RET_KILL_PROCESS;
}

/* A call that would fail is not tried either, nor one for which another process is asked, which may take long. */
static bool lets_through(const struct kernel_filter *filter, long number, const long arguments[static 6])
{
    struct seccomp_data data = {.nr = (int)number, .arch = ARCHITECTURE, .instruction_pointer = (uintptr_t)call};
    uint32_t answer;

    if (atomic_load_explicit(&filter->failed, memory_order_relaxed))
        return true;
    if (filter->strict)
        return number == SYS_read || number == SYS_write;
    for (int i = 0; i < 6; i++)
        data.args[i] = (uint64_t)arguments[i];
    answer = answer_of(filter, &data) & SECCOMP_RET_ACTION_FULL;
    return answer == SECCOMP_RET_ALLOW || answer == SECCOMP_RET_LOG;
}

static bool may(long number, const long arguments[static 6])
{
    for (const struct kernel_filter *filter = atomic_load_explicit(&filters, memory_order_acquire); filter != NULL; filter = filter->next) {
        if (!lets_through(filter, number, arguments))
            return false;
    }
    return true;
}

bool kernel_is_filtered(void)
{
    return atomic_load_explicit(&filters, memory_order_relaxed) != NULL;
}

bool kernel_allows(long number)
{
    static const long nothing[6];

    return may(number, nothing);
}

long kernel_call_six(long number, const long arguments[static 6])
{
    long result = may(number, arguments) ? call(number, arguments) : -EPERM;

    if (result >= 0 || result < -4095)
        return result;
    errno = (int)-result;
    return -1;
}

/* The kernel reads the mask before it looks at what is to be done with it, and there is nothing of that number. */
static bool is_readable(uintptr_t word)
{
    errno = 0;
    return kernel_call(SYS_rt_sigprocmask, -1, word, NULL, sizeof(uint64_t)) != 0 && errno != EFAULT;
}

size_t kernel_readable(const void *start, size_t size)
{
    uintptr_t at = (uintptr_t)start;
    uintptr_t end = at + size;
    int saved = errno;

    if (at < KERNEL_NEVER_MAPPED || end < at)
        return 0;
    while (at < end && is_readable(at / sizeof(uint64_t) * sizeof(uint64_t)))
        at = (at | (KERNEL_PAGE_LEAST - 1)) + 1;
    errno = saved;
    return at < end ? at - (uintptr_t)start : size;
}

/* In place of a filter that could not be copied. */
static struct kernel_filter strictest = {.strict = true};

struct kernel_filter *kernel_filter_begin(const struct sock_fprog *program)
{
    size_t size = program != NULL ? program->len * sizeof(program->filter[0]) : 0;
    struct kernel_filter *filter = calloc(1, sizeof(*filter) + size);

    if (filter == NULL) {
        atomic_store(&filters, &strictest);
        return &strictest;
    }
    filter->strict = program == NULL;
    if (program != NULL) {
        filter->length = program->len;
        memcpy(filter->code, program->filter, size);
    }
    filter->next = atomic_load(&filters);
    while (!atomic_compare_exchange_weak(&filters, &filter->next, filter)) {}
    return filter;
}

void kernel_filter_end(struct kernel_filter *filter, bool installed)
{
    if (!installed && filter != &strictest)
        atomic_store(&filter->failed, true);
}

/* A page that is zero in a child, however the child was made. qemu's user mode accepts the advice but does not follow it, so libc's fork handler
 * is used as well; that one alone would miss clone(2). */
static _Atomic(_Atomic uint32_t *) own_page;
static _Atomic uint32_t last_process;

/* In glibc pthread_atfork is not in libc.so.6; musl has no other. */
int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *) __attribute__((weak));
int pthread_atfork(void (*)(void), void (*)(void), void (*)(void)) __attribute__((weak));

static void in_child(void)
{
    atomic_store(atomic_load(&own_page), 0);
}

static _Atomic uint32_t *find_page(void)
{
    static _Atomic uint32_t unwiped; /* if there is no such page */
    _Atomic uint32_t *page = atomic_load_explicit(&own_page, memory_order_acquire);
    _Atomic uint32_t *there = NULL;
    size_t size = 4096;
    void *made;

    if (page != NULL)
        return page;
    made = (void *)kernel_call(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page = made != MAP_FAILED ? made : &unwiped;
    if (page != &unwiped && kernel_call(SYS_madvise, made, size, MADV_WIPEONFORK) != 0) {
        (void)kernel_call(SYS_munmap, made, size);
        page = &unwiped;
    }
    if (atomic_compare_exchange_strong(&own_page, &there, page)) {
        if (__register_atfork != NULL)
            (void)__register_atfork(NULL, NULL, in_child, NULL);
        else if (pthread_atfork != NULL)
            (void)pthread_atfork(NULL, NULL, in_child);
        return page;
    }
    if (page != &unwiped)
        (void)kernel_call(SYS_munmap, made, size);
    return there;
}

uint32_t kernel_process(void)
{
    int saved = errno;
    _Atomic uint32_t *page = find_page();
    uint32_t process = atomic_load(page);
    uint32_t next;

    if (process == 0) {
        next = atomic_fetch_add(&last_process, 1) + 1;
        if (atomic_compare_exchange_strong(page, &process, next))
            process = next;
    }
    errno = saved;
    return process;
}

bool kernel_share(void *from, void *end, size_t room)
{
    uintptr_t page = getauxval(AT_PAGESZ);
    uintptr_t first = (uintptr_t)from / page * page;
    uintptr_t last = ((uintptr_t)end + page - 1) / page * page;
    int saved = errno;
    bool shared = page <= room
        && kernel_call(SYS_mmap, first, last - first, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == (long)first;

    errno = saved;
    return shared;
}

int kernel_pid(void)
{
    static _Atomic uint64_t known; /* kernel_process() in the upper half */
    uint64_t process = (uint64_t)kernel_process() << 32;
    uint64_t seen = atomic_load(&known);
    int saved = errno;
    long pid;

    if ((seen & ~UINT64_C(0xffffffff)) == process)
        return (int)(uint32_t)seen;
    pid = kernel_call(SYS_getpid);
    errno = saved;
    if (pid <= 0)
        return 0;
    atomic_store(&known, process | (uint64_t)pid);
    return (int)pid;
}

bool kernel_hold_signals(kernel_signals signals, struct kernel_held *held)
{
    held->pending = 0;
    (void)kernel_call(SYS_rt_sigpending, &held->pending, sizeof(held->pending));
    held->holds = kernel_call(SYS_rt_sigprocmask, SIG_BLOCK, &signals, &held->before, sizeof(signals)) == 0;
    return held->holds;
}

void kernel_let_signals(kernel_signals raised, struct kernel_held *held)
{
    static const struct timespec at_once = {0, 0};
    int saved = errno;

    raised &= ~held->pending;
    if (raised != 0 && held->holds && kernel_call(SYS_rt_sigtimedwait, &raised, NULL, &at_once, sizeof(raised)) < 0 && errno == EPERM)
        held->before |= raised;
    if (held->holds)
        (void)kernel_call(SYS_rt_sigprocmask, SIG_SETMASK, &held->before, NULL, sizeof(held->before));
    errno = saved;
}
