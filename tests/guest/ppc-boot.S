/* From the loader to C. The machine starts with all of memory mapped as it is. */
    .section .text.boot, "ax"
    .globl start
start:
    lis 1, stack_top@ha
    addi 1, 1, stack_top@l
    li 0, 0
    stwu 0, -16(1)
    bl ppc_main
1:  b 1b

    .bss
    .balign 16
    .skip 16384
stack_top:
    .skip 64

    .section .note.GNU-stack, "", @progbits
