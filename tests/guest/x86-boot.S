/* From the multiboot loader, or from the start-up interrupt of the second processor, to C: in protected
 * mode with paging still off on a 32-bit machine, in long mode on a 64-bit one. */
#define CODE32 0x08
#define DATA   0x10
#define CODE64 0x18
#define TRAMPOLINE 0x8000
#define LAPIC_EOI 0x500020b0 /* the window of x86.c */

    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002
    .long 0
    .long -0x1badb002

    .section .text.boot, "ax"
    .code32
    .globl start
start:
    cli
    cld
    lgdt gdt_pointer
    ljmp $CODE32, $1f
1:  mov $stack0_top, %esp
    xor %ebx, %ebx
    jmp common

ap32:
    mov $stack1_top, %esp
    mov $1, %ebx

common:
    mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
#ifdef __x86_64__
    mov $boot_pml4, %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $0x20, %eax /* PAE */
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    rdmsr
    or $0x100, %eax /* EFER.LME */
    wrmsr
    mov %cr0, %eax
    or $0x80010001, %eax /* PG, WP, PE */
    mov %eax, %cr0
    ljmp $CODE64, $long_mode
    .code64
long_mode:
    mov %esp, %esp
    mov %ebx, %edi
    xor %ebp, %ebp
    call x86_main
#else
    pushl $0
    push %ebx
    xor %ebp, %ebp
    call x86_main
#endif
1:  hlt
    jmp 1b

/* Copied to TRAMPOLINE, where the start-up interrupt begins in real mode. */
    .code16
    .globl trampoline_begin, trampoline_end
trampoline_begin:
    cli
    xor %ax, %ax
    mov %ax, %ds
    lgdtl TRAMPOLINE + (2f - trampoline_begin)
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $CODE32, $ap32
    .balign 4
2:  .word gdt_end - gdt - 1
    .long gdt
trampoline_end:

/* Exceptions never return: the command that caused one is given up. */
#ifdef __x86_64__
    .code64
    .macro fault vector
    .if \vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17
    pop %rax
    .endif
    mov $\vector, %edi
    pop %rsi
    and $-16, %rsp
    call x86_fault
    .endm
#else
    .code32
    .macro fault vector
    .if \vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17
    pop %eax
    .endif
    pop %eax
    and $-16, %esp
    sub $8, %esp
    push %eax
    pushl $\vector
    call x86_fault
    .endm
#endif
    .text
    .globl fault_stubs, timer_stub, spurious_stub
    .balign 32
fault_stubs:
    .irp vector, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    .balign 32
    fault \vector
    .endr
timer_stub:
    movl $0, LAPIC_EOI
spurious_stub:
#ifdef __x86_64__
    iretq
#else
    iret
#endif

    .data
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff /* 32-bit code */
    .quad 0x00cf93000000ffff /* data */
    .quad 0x00af9b000000ffff /* 64-bit code */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

#ifdef __x86_64__
/* The first gigabyte as it is, until C has drawn the real map. */
    .balign 4096
boot_pml4:
    .quad boot_pdpt + 3
    .fill 511, 8, 0
boot_pdpt:
    .quad boot_pd + 3
    .fill 511, 8, 0
boot_pd:
    .set page, 0
    .rept 512
    .quad page + 0x83
    .set page, page + 0x200000
    .endr
#endif

    .bss
    .balign 16
    .skip 16384
stack0_top:
    .skip 16384
stack1_top:

    .section .note.GNU-stack, "", @progbits
