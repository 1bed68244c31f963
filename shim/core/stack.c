#include "stack.h"

#include "kernel.h"
#include "memory.h"

#include <signal.h>
#include <sys/syscall.h>

#define SIZE (65536 - 64) /* with what memory_get adds, the largest block that is kept */

/* stack_switch(TOP, FUNCTION, WITH). Debuggers and profilers find the way back. */
#if defined(__x86_64__)
__asm__(".text\n"
        ".globl stack_switch\n"
        ".hidden stack_switch\n"
        ".type stack_switch, @function\n"
        "stack_switch:\n"
        ".cfi_startproc\n"
        "push %rbp\n"
        ".cfi_def_cfa_offset 16\n"
        ".cfi_offset %rbp, -16\n"
        "mov %rsp, %rbp\n"
        ".cfi_def_cfa_register %rbp\n"
        "mov %rdi, %rsp\n"
        "mov %rdx, %rdi\n"
        "call *%rsi\n"
        "leave\n"
        ".cfi_def_cfa %rsp, 8\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size stack_switch, . - stack_switch\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".globl stack_switch\n"
        ".hidden stack_switch\n"
        ".type stack_switch, %function\n"
        "stack_switch:\n"
        ".cfi_startproc\n"
        "stp x29, x30, [sp, -16]!\n"
        ".cfi_def_cfa_offset 16\n"
        ".cfi_offset x29, -16\n"
        ".cfi_offset x30, -8\n"
        "mov x29, sp\n"
        ".cfi_def_cfa_register x29\n"
        "mov sp, x0\n"
        "mov x0, x2\n"
        "blr x1\n"
        "mov sp, x29\n"
        ".cfi_def_cfa_register sp\n"
        "ldp x29, x30, [sp], 16\n"
        ".cfi_def_cfa_offset 0\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size stack_switch, . - stack_switch\n");
#endif
void stack_switch(char *top, void (*function)(void *), void *with);

/* All but those that the thread itself raises: the kernel would end the program. */
#define HELD \
    (~(KERNEL_SIGNAL(SIGSEGV) | KERNEL_SIGNAL(SIGBUS) | KERNEL_SIGNAL(SIGILL) | KERNEL_SIGNAL(SIGFPE) | KERNEL_SIGNAL(SIGTRAP) | KERNEL_SIGNAL(SIGSYS)))

bool stack_is_alternate(void)
{
    stack_t stack;

    return kernel_call(SYS_sigaltstack, NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK) != 0;
}

void stack_call(void (*function)(void *), void *with)
{
    static struct spare spare;
    const kernel_signals held = HELD;
    kernel_signals before;
    char *memory;

    /* Who stops all threads by a signal and waits for them (collectors of garbage) may have stopped one that holds the loader's lock. */
    if (!stack_is_alternate()) {
        function(with);
        return;
    }
    memory = spare_take(&spare, SIZE);
    if (memory == NULL || kernel_call(SYS_rt_sigprocmask, SIG_BLOCK, &held, &before, sizeof(held)) != 0) {
        function(with);
    } else {
        stack_switch(memory + SIZE, function, with);
        (void)kernel_call(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof(before));
    }
    spare_let_go(&spare, memory);
}
