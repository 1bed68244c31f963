/* The shim's own system calls, which the program's seccomp filter may forbid. */
#ifndef PINSHIM_KERNEL_H
#define PINSHIM_KERNEL_H

#include "text.h"

#include <linux/filter.h>

#define KERNEL_NEVER_MAPPED 4096 /* no address below it is a program's */

/* Make a system call, with arguments and results as those of syscall(2). It is not a cancellation point and goes through no interposed
 * function, not even this object's. A call that one of the program's seccomp filters (kernel_filter_begin) would not allow is not made: EPERM. */
#define kernel_call(...) KERNEL_CALL(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define KERNEL_CALL(number, a, b, c, d, e, f, ...) \
    kernel_call_six(number, (const long[6]) {(long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)})
long kernel_call_six(long number, const long arguments[static 6]);

/* Return true unless such a filter would prevent the call. */
MUST_CHECK bool kernel_allows(long number);

/* Return true if the program has installed a filter. */
MUST_CHECK bool kernel_is_filtered(void);

/* Return how many of these bytes, from the first, the process can read; all if a filter prevents the kernel from telling. It makes a system call for each
 * page. errno is preserved. */
MUST_CHECK size_t kernel_readable(const void *start, size_t size);

/* Respect this filter (NULL: strict mode) from now on, in every thread. kernel_filter_end says whether the kernel has accepted it. */
struct kernel_filter *kernel_filter_begin(const struct sock_fprog *program);
void kernel_filter_end(struct kernel_filter *filter, bool installed);

/* Signals as the kernel has them: bit N - 1 for signal N. */
typedef uint64_t kernel_signals;
#define KERNEL_SIGNAL(number) ((kernel_signals)1 << ((number) - 1))

struct kernel_held {
    bool holds;
    kernel_signals before;
    kernel_signals pending;
};

/* Block these signals, which a call may raise in this thread alone. Return false if that is impossible. kernel_let_signals discards those that it has
 * `raised`; if that is impossible, they stay blocked. */
MUST_CHECK bool kernel_hold_signals(kernel_signals signals, struct kernel_held *held);
void kernel_let_signals(kernel_signals raised, struct kernel_held *held);

#define KERNEL_PAGE_LEAST 4096U
#define KERNEL_PAGE_MOST 65536U /* bytes, of arm64's largest pages */

/* Have the pages from `from` to `end`, zeroed, shared with the children that are forked from now on. Before and behind them there is room for a page, of `room`
 * bytes, that nobody else uses. Return false if they are not: then nothing has changed. errno is preserved. */
bool kernel_share(void *from, void *end, size_t room);

/* Return a number that differs from those of all processes that this one was forked from, however it was forked. It is not the process ID. Only the
 * first call in a program makes system calls. */
MUST_CHECK uint32_t kernel_process(void);

/* Return the process ID, asked for once; 0 if the program's filter forbids asking. */
int kernel_pid(void);

#endif
