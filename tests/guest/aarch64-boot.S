/* From the loader at EL1 with the MMU off to C, and the exception vectors. */
    .section .text.boot, "ax"
    .globl start
start:
    msr daifset, #15
    adrp x0, stack_top
    add x0, x0, :lo12:stack_top
    mov sp, x0
    adrp x0, vectors
    add x0, x0, :lo12:vectors
    msr vbar_el1, x0
    isb
    bl aarch64_main
1:  wfi
    b 1b

/* Exceptions never return: the command that caused one is given up. */
    .balign 2048
vectors:
    .rept 16
    .balign 128
    mrs x0, esr_el1
    mrs x1, far_el1
    b guest_fault
    .endr

    .bss
    .balign 16
    .skip 16384
stack_top:

    .section .note.GNU-stack, "", %progbits
