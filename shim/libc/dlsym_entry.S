/* dlsym, dlvsym, dlopen and dlmopen, interposed. The real functions must be jumped to, not called: glibc finds the caller by the return
 * address, for RTLD_NEXT, RTLD_DEFAULT, RUNPATH and $ORIGIN. */

#define RTLD_DEEPBIND 8
#define LM_ID_BASE 0 /* in another namespace the flag does no harm: it does not contain this object */

    .section .note.GNU-stack, "", %progbits
    .text

#if defined(__x86_64__)

/* exports_dlsym and exports_dlvsym answer in rax and rdx: struct answer. Three pushes keep the stack aligned. */
    .macro ask name
    .globl \name
    .type \name, @function
    .p2align 4
\name:
    .cfi_startproc
    endbr64
    push %rdi
    .cfi_adjust_cfa_offset 8
    push %rsi
    .cfi_adjust_cfa_offset 8
    push %rdx
    .cfi_adjust_cfa_offset 8
    call exports_\name
    cmp $1, %edx
    pop %rdx
    .cfi_adjust_cfa_offset -8
    pop %rsi
    .cfi_adjust_cfa_offset -8
    pop %rdi
    .cfi_adjust_cfa_offset -8
    jae 1f
    jmp *loader_real_\name(%rip)
1:  je 2f
    lea entries(%rip), %rdx
    add %rdx, %rax
2:  ret
    .cfi_endproc
    .size \name, . - \name
    .endm

    ask dlsym
    ask dlvsym

/* Entry points to be given out, each of four bytes, in groups of 32 with eight more. They keep the registers for arguments, and the return address. */
    .type entries, @function
    .p2align 3
entries:
    .cfi_startproc
    .set entry, 0
    .rept 8
    .rept 32
    mov $entry, %al
    jmp 1f
    .set entry, entry + 1
    .endr
1:  jmp 2f
    .p2align 3
    .endr
2:  movzbl %al, %eax
    shl $4, %eax
    lea dlsym_given(%rip), %r11
    add %rax, %r11
    mov dlsym_asked@gottpoff(%rip), %rax
    mov 8(%r11), %r10
    mov %r10, %fs:(%rax)
    jmp *(%r11)
    .cfi_endproc
    .size entries, . - entries

    .globl dlopen
    .type dlopen, @function
    .p2align 4
dlopen:
    .cfi_startproc
    endbr64
    push %rdi
    .cfi_adjust_cfa_offset 8
    push %rsi
    .cfi_adjust_cfa_offset 8
    sub $8, %rsp
    .cfi_adjust_cfa_offset 8
    call loader_opens
    add $8, %rsp
    .cfi_adjust_cfa_offset -8
    pop %rsi
    .cfi_adjust_cfa_offset -8
    pop %rdi
    .cfi_adjust_cfa_offset -8
    and $~RTLD_DEEPBIND, %esi
    jmp *loader_real_dlopen(%rip)
    .cfi_endproc
    .size dlopen, . - dlopen

    .globl dlmopen
    .type dlmopen, @function
    .p2align 4
dlmopen:
    .cfi_startproc
    endbr64
    push %rdi
    .cfi_adjust_cfa_offset 8
    push %rsi
    .cfi_adjust_cfa_offset 8
    push %rdx
    .cfi_adjust_cfa_offset 8
    call loader_enters
    pop %rdx
    .cfi_adjust_cfa_offset -8
    pop %rsi
    .cfi_adjust_cfa_offset -8
    pop %rdi
    .cfi_adjust_cfa_offset -8
    cmp $LM_ID_BASE, %rdi
    jne 1f
    and $~RTLD_DEEPBIND, %edx
1:  jmp *loader_real_dlmopen(%rip)
    .cfi_endproc
    .size dlmopen, . - dlmopen

#elif defined(__aarch64__)

/* exports_dlsym and exports_dlvsym answer in x0 and x1: struct answer. */
    .macro ask name
    .globl \name
    .type \name, %function
    .p2align 4
\name:
    .cfi_startproc
    stp x29, x30, [sp, #-48]!
    .cfi_adjust_cfa_offset 48
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    stp x0, x1, [sp, #16]
    str x2, [sp, #32]
    mov x29, sp
    bl exports_\name
    mov x9, x0
    mov x10, x1
    ldp x0, x1, [sp, #16]
    ldr x2, [sp, #32]
    ldp x29, x30, [sp], #48
    .cfi_restore x29
    .cfi_restore x30
    .cfi_adjust_cfa_offset -48
    cbnz w10, 1f
    adrp x16, loader_real_\name
    ldr x16, [x16, #:lo12:loader_real_\name]
    br x16
1:  mov x0, x9
    cmp w10, #1
    b.eq 2f
    adr x9, entries
    add x0, x0, x9
2:  ret
    .cfi_endproc
    .size \name, . - \name
    .endm

    ask dlsym
    ask dlvsym

/* Entry points to be given out, each of eight bytes. They keep the registers for arguments, and the return address. */
    .type entries, %function
    .p2align 3
entries:
    .cfi_startproc
    .set entry, 0
    .rept 256
    mov w16, #entry
    b 2f
    .set entry, entry + 1
    .endr
2:  adrp x17, dlsym_given
    add x17, x17, :lo12:dlsym_given
    add x17, x17, x16, lsl #4
    ldp x16, x9, [x17]
    adrp x10, :gottprel:dlsym_asked
    ldr x10, [x10, :gottprel_lo12:dlsym_asked]
    mrs x11, tpidr_el0
    str x9, [x11, x10]
    br x16
    .cfi_endproc
    .size entries, . - entries

    .globl dlopen
    .type dlopen, %function
    .p2align 4
dlopen:
    .cfi_startproc
    stp x29, x30, [sp, #-32]!
    .cfi_adjust_cfa_offset 32
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    stp x0, x1, [sp, #16]
    mov x29, sp
    bl loader_opens
    ldp x0, x1, [sp, #16]
    ldp x29, x30, [sp], #32
    .cfi_restore x29
    .cfi_restore x30
    .cfi_adjust_cfa_offset -32
    and w1, w1, #~RTLD_DEEPBIND
    adrp x16, loader_real_dlopen
    ldr x16, [x16, #:lo12:loader_real_dlopen]
    br x16
    .cfi_endproc
    .size dlopen, . - dlopen

    .globl dlmopen
    .type dlmopen, %function
    .p2align 4
dlmopen:
    .cfi_startproc
    stp x29, x30, [sp, #-48]!
    .cfi_adjust_cfa_offset 48
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    stp x0, x1, [sp, #16]
    str x2, [sp, #32]
    mov x29, sp
    bl loader_enters
    ldp x0, x1, [sp, #16]
    ldr x2, [sp, #32]
    ldp x29, x30, [sp], #48
    .cfi_restore x29
    .cfi_restore x30
    .cfi_adjust_cfa_offset -48
    cmp x0, #LM_ID_BASE
    b.ne 1f
    and w2, w2, #~RTLD_DEEPBIND
1:  adrp x16, loader_real_dlmopen
    ldr x16, [x16, #:lo12:loader_real_dlmopen]
    br x16
    .cfi_endproc
    .size dlmopen, . - dlmopen

#else
#error "dlsym and dlopen have no stub for this architecture"
#endif
