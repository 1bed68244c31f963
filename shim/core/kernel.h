/* The shim's own system calls, which a program may have forbidden itself. */
#ifndef PINSHIM_KERNEL_H
#define PINSHIM_KERNEL_H

#include "text.h"

#include <linux/filter.h>

/* Make a system call, with arguments and results as those of syscall(2). It is no cancellation point and passes no wrapper, not even this
 * object's. What a seccomp filter that the program has installed (kernel_filter_begin) does not let through is not tried: EPERM. */
#define kernel_call(...) KERNEL_CALL(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define KERNEL_CALL(number, a, b, c, d, e, f, ...) \
    kernel_call_six(number, (const long[6]) {(long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)})
long kernel_call_six(long number, const long arguments[static 6]);

/* Return true unless such a filter would keep the call from being made. */
MUST_CHECK bool kernel_allows(long number);

/* Return true if the program has installed a filter. */
MUST_CHECK bool kernel_is_filtered(void);

/* Heed this filter (NULL: the strict mode) from now on. kernel_filter_end says whether the kernel has taken it, too. Other threads
 * heed it as well. */
struct kernel_filter *kernel_filter_begin(const struct sock_fprog *program);
void kernel_filter_end(struct kernel_filter *filter, bool installed);

/* Return a number that a process shares with none that it was forked from, however it was forked. Not its number for others. Only the first
 * call in a program makes system calls. */
MUST_CHECK uint32_t kernel_process(void);

/* Return the process's number for others, asked for once; 0 where it may not ask. */
int kernel_pid(void);

#endif
