/* What the probe of accel.c boots: 4 KiB that stand at the end of the machine's firmware, where a
 * processor begins. They do what every ordinary kernel does before it can do anything else, and
 * write a letter to the first serial port for each thing that went well:
 *
 *   R  real mode, port I/O                 T  interrupts of the PIT by the PIC, out of hlt
 *   P  protected mode                      I  the same by the I/O APIC
 *   L  long mode with paging               A  interrupts of the local APIC's timer
 *   C  CPUID, TSC, MSRs                    N  a second processor
 *   X  SSE, XSAVE                          U  user mode: interrupted there, and back by syscall
 *   F  a page fault, handled; INVLPG       S  twenty million turns of a loop, at a processor's speed
 *   M  MMIO: local APIC and I/O APIC       W  all of it works
 *
 * A '!' says that something came out wrong, or an exception that nothing expected. At its end it
 * leaves by isa-debug-exit (port 0xf4), so QEMU's exit status is 3 for W and 5 for '!'.
 *
 * Addresses and bits are those of the Intel Software Developer's Manual, volume 3, and of the 8254,
 * 8259A, 82093AA and 16550 data sheets. */

#define SIZE	    0x1000
#define ROM_OFFSET  0xf000 /* where it stands in the segment f000 */
#define RAM	    0x8000 /* where it copies itself to, and runs */
#define IDT	    0x9000
#define TSS	    0xa000
#define TICKS	    0xb000 /* how many interrupts came */
#define SECOND	    0xb008 /* how many processors came besides */
#define SECOND_CODE 0xc000 /* where they begin */
#define SAVED	    0xd000 /* what XSAVE writes */
#define PML4	    0x10000
#define PDPT	    0x11000
#define PD	    0x12000 /* four: 4 GiB in pages of 2 MiB */
#define FAULT_PD    0x16000
#define FAULT_PT    0x17000
#define FAULT_PAGES 0x20000 /* two */
#define FAULT_AT    0x140000000 /* 5 GiB, in the sixth entry of PDPT */
#define STACK	    0x7000
#define STACK_INT   0x6000 /* for interrupts in user mode */
#define STACK_USER  0x5000

#define LAPIC  0xfee00000
#define IOAPIC 0xfec00000
#define COM1   0x3f8
#define EXIT   0xf4

#define CODE32 0x08
#define DATA   0x10
#define CODE64 0x18
#define TSS64  0x40

#define VECTOR_PIC    0x20
#define VECTOR_IOAPIC 0x30
#define VECTOR_TIMER  0x31
#define VECTOR_SPURIOUS 0xff

#define HERE(label) (label - corpus_kvm_boot + RAM)

/* In every mode alike. */
.macro tell letter
	mov	$(COM1 + 5), %dx
1:	in	%dx, %al
	test	$0x20, %al
	jz	1b
	mov	$COM1, %dx
	mov	$\letter, %al
	out	%al, %dx
.endm

.macro write_msr number, high, low
	mov	$\number, %ecx
	mov	$\high, %edx
	mov	$\low, %eax
	wrmsr
.endm

.section .rodata.corpus_kvm_boot, "a", %progbits
.balign 16
.globl corpus_kvm_boot
corpus_kvm_boot:
#ifdef __x86_64__ /* elsewhere it is empty: nothing to try it with */

/* --- Real mode ------------------------------------------------------------------------------- */

.code16
real:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	xor	%ax, %ax
	mov	%ax, %es
	mov	%ax, %ss
	mov	$STACK, %sp
	mov	$ROM_OFFSET, %si
	mov	$RAM, %di
	mov	$(SIZE / 4), %cx
	rep movsl
	ljmp	$0, $HERE(copied)
copied:
	mov	%ax, %ds
	tell	'R'
	lgdtl	HERE(gdt_pointer)
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$CODE32, $HERE(protected)

/* --- Protected mode -------------------------------------------------------------------------- */

.code32
protected:
	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$STACK, %esp
	tell	'P'

	mov	$PML4, %edi
	mov	$(0x8000 / 4), %ecx
	xor	%eax, %eax
	rep stosl
	movl	$(PDPT | 7), PML4
	movl	$(PD + 0x0000 | 7), PDPT
	movl	$(PD + 0x1000 | 7), PDPT + 8
	movl	$(PD + 0x2000 | 7), PDPT + 16
	movl	$(PD + 0x3000 | 7), PDPT + 24
	movl	$(FAULT_PD | 7), PDPT + 40
	movl	$(FAULT_PT | 7), FAULT_PD
	mov	$PD, %edi
	mov	$0x87, %eax
1:	mov	%eax, (%edi)
	add	$8, %edi
	add	$0x200000, %eax
	jnc	1b

	mov	$PML4, %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx	/* EFER: LME, SCE */
	rdmsr
	or	$0x101, %eax
	wrmsr
	mov	%cr0, %eax
	and	$~4, %eax		/* EM */
	or	$0x80010022, %eax	/* PG, WP, NE, MP */
	mov	%eax, %cr0
	ljmp	$CODE64, $HERE(long)

/* --- Long mode ------------------------------------------------------------------------------- */

.code64
long:
	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$STACK, %rsp
	tell	'L'

	/* Every exception ends it but those expected. */
	mov	$IDT, %edi
1:	mov	$HERE(wrong), %eax
	call	set_gate
	cmp	$(IDT + 0x1000), %edi
	jb	1b
	mov	$(IDT + 14 * 16), %edi
	mov	$HERE(page_fault), %eax
	call	set_gate
	mov	$(IDT + VECTOR_PIC * 16), %edi
	mov	$HERE(pic_tick), %eax
	call	set_gate
	mov	$(IDT + VECTOR_IOAPIC * 16), %edi
	mov	$HERE(apic_tick), %eax
	call	set_gate
	mov	$HERE(apic_tick), %eax
	call	set_gate
	mov	$(IDT + VECTOR_SPURIOUS * 16), %edi
	mov	$HERE(spurious), %eax
	call	set_gate
	lidt	HERE(idt_pointer)

	/* Processor: leaf 1 has TSC, MSR, APIC, SSE2; the clock goes on; the APIC is where it is. */
	xor	%eax, %eax
	cpuid
	cmp	$1, %eax
	jb	wrong
	mov	$1, %eax
	cpuid
	and	$0x04000230, %edx
	cmp	$0x04000230, %edx
	jne	wrong
	mov	$0x80000001, %eax
	cpuid
	bt	$29, %edx
	jnc	wrong
	rdtsc
	mov	%eax, %esi
	mov	%edx, %edi
	mov	$1000, %ecx
1:	pause
	loop	1b
	rdtsc
	sub	%esi, %eax
	sbb	%edi, %edx
	jb	wrong
	or	%edx, %eax
	jz	wrong
	mov	$0x1b, %ecx		/* IA32_APIC_BASE: enabled */
	rdmsr
	mov	%eax, %ebx
	and	$0xfffff000, %eax
	cmp	$LAPIC, %eax
	jne	wrong
	bt	$11, %ebx
	jnc	wrong
	tell	'C'

	/* 3 * 5 + 7 in both halves. */
	mov	$3, %eax
	cvtsi2sd %eax, %xmm0
	mov	$5, %eax
	cvtsi2sd %eax, %xmm1
	mulsd	%xmm1, %xmm0
	unpcklpd %xmm0, %xmm0
	mov	$7, %eax
	cvtsi2sd %eax, %xmm1
	unpcklpd %xmm1, %xmm1
	addpd	%xmm1, %xmm0
	unpckhpd %xmm0, %xmm0
	cvttsd2si %xmm0, %eax
	cmp	$22, %eax
	jne	wrong

	/* x87, SSE and AVX saved, spoiled and restored, where there is XSAVE. */
	mov	$1, %eax
	cpuid
	bt	$26, %ecx
	jnc	2f
	mov	%cr4, %rax
	or	$0x40000, %eax		/* OSXSAVE */
	mov	%rax, %cr4
	mov	$0xd, %eax
	xor	%ecx, %ecx
	cpuid
	and	$7, %eax
	mov	%eax, %esi
	xor	%ecx, %ecx
	xor	%edx, %edx
	xsetbv
	mov	$SAVED, %edi
	mov	$(0x1000 / 4), %ecx
	xor	%eax, %eax
	rep stosl
	mov	%esi, %eax
	xor	%edx, %edx
	xsave64	SAVED
	pxor	%xmm0, %xmm0
	xrstor64 SAVED
	cvttsd2si %xmm0, %eax
	cmp	$22, %eax
	jne	wrong
2:	tell	'X'

	/* A page that is not there, put there by the handler; then another one in its place. */
	movl	$0x600d0001, FAULT_PAGES
	movl	$0x600d0002, FAULT_PAGES + 0x1000
	mov	$FAULT_AT, %rbx
	mov	(%rbx), %eax
	cmp	$0x600d0001, %eax
	jne	wrong
	movq	$(FAULT_PAGES + 0x1000 | 3), FAULT_PT
	invlpg	(%rbx)
	cmpl	$0x600d0002, (%rbx)
	jne	wrong
	tell	'F'

	/* Both APICs: versions, then software enable, legacy interrupts, all accepted. */
	mov	$LAPIC, %r8d
	mov	$IOAPIC, %r9d
	mov	0x30(%r8), %eax
	cmp	$0x10, %al
	jb	wrong
	movl	$1, (%r9)
	mov	0x10(%r9), %eax
	cmp	$0x10, %al
	jb	wrong
	movl	$(0x100 | VECTOR_SPURIOUS), 0xf0(%r8)
	movl	$0x700, 0x350(%r8)	/* LINT0: ExtINT */
	movl	$0, 0x80(%r8)
	cmpl	$0x700, 0x350(%r8)
	jne	wrong
	tell	'M'

	/* PIT, channel 0, rate generator at 1 kHz, by the PIC. */
	mov	$0x11, %al
	out	%al, $0x20
	out	%al, $0xa0
	mov	$VECTOR_PIC, %al
	out	%al, $0x21
	mov	$(VECTOR_PIC + 8), %al
	out	%al, $0xa1
	mov	$4, %al
	out	%al, $0x21
	mov	$2, %al
	out	%al, $0xa1
	mov	$1, %al
	out	%al, $0x21
	out	%al, $0xa1
	mov	$0xff, %al
	out	%al, $0xa1
	mov	$0xfe, %al
	out	%al, $0x21
	mov	$0x34, %al
	out	%al, $0x43
	mov	$(1193 & 0xff), %al
	out	%al, $0x40
	mov	$(1193 >> 8), %al
	out	%al, $0x40
	call	await_ticks
	mov	$0xff, %al
	out	%al, $0x21
	tell	'T'

	/* The same on pin 2 of the I/O APIC, edge, to this processor. */
	movl	$0x15, (%r9)
	mov	0x20(%r8), %eax
	mov	%eax, 0x10(%r9)
	movl	$0x14, (%r9)
	movl	$VECTOR_IOAPIC, 0x10(%r9)
	call	await_ticks
	movl	$0x14, (%r9)
	movl	$(0x10000 | VECTOR_IOAPIC), 0x10(%r9)
	tell	'I'

	/* The local APIC's own timer, periodic, divided by one. */
	movl	$0xb, 0x3e0(%r8)
	movl	$(0x20000 | VECTOR_TIMER), 0x320(%r8)
	movl	$500000, 0x380(%r8)
	call	await_ticks
	tell	'A'

	/* INIT, ten milliseconds, and SIPI twice, to all but ourselves. */
	movl	$0, SECOND
	mov	$HERE(second), %esi
	mov	$SECOND_CODE, %edi
	mov	$(second_end - second), %ecx
	rep movsb
	movl	$0xc4500, 0x300(%r8)
	call	await_ticks
	call	await_ticks
	movl	$(0xc4600 | SECOND_CODE >> 12), 0x300(%r8)
	call	await_ticks
	movl	$(0xc4600 | SECOND_CODE >> 12), 0x300(%r8)
1:	pause
	cmpl	$1, SECOND
	jb	1b
	call	await_ticks
	cmpl	$1, SECOND
	jne	wrong
	tell	'N'

	/* To user mode, where the timer goes on. */
	mov	$TSS, %edi
	mov	$(104 / 4), %ecx
	xor	%eax, %eax
	rep stosl
	movq	$STACK_INT, TSS + 4
	mov	$TSS64, %eax
	ltr	%ax
	write_msr 0xc0000081, 0x002b0018, 0	/* STAR */
	write_msr 0xc0000082, 0, HERE(from_user) /* LSTAR */
	write_msr 0xc0000084, 0, 0x200		/* FMASK: no interrupts */
	movq	$0, TICKS
	mov	$HERE(user), %ecx
	mov	$0x202, %r11d
	mov	$STACK_USER, %esp
	sysretq
user:
	mov	$0x1d, %edi
1:	pause
	cmpq	$3, TICKS
	jb	1b
	syscall
from_user:
	mov	$STACK, %esp
	movl	$0x10000, 0x320(%r8)
	cmp	$0x1d, %edi
	jne	wrong
	tell	'U'

	mov	$20000000, %ecx
	xor	%eax, %eax
1:	add	%ecx, %eax
	rol	$3, %eax
	dec	%ecx
	jnz	1b
	tell	'S'

	tell	'W'
	mov	$1, %al
	jmp	leave
wrong:
	tell	'!'
	mov	$2, %al
leave:
	out	%al, $EXIT
1:	cli
	hlt
	jmp	1b

/* Ten interrupts from now, asleep between them. */
await_ticks:
	movq	$0, TICKS
1:	cmpq	$10, TICKS
	jae	2f
	sti
	hlt
	cli
	jmp	1b
2:	ret

/* An interrupt gate to eax at edi, which goes on to the next one. */
set_gate:
	mov	%ax, (%rdi)
	movw	$CODE64, 2(%rdi)
	movw	$0x8e00, 4(%rdi)
	shr	$16, %eax
	mov	%ax, 6(%rdi)
	movq	$0, 8(%rdi)
	add	$16, %edi
	ret

page_fault:
	push	%rax
	mov	%cr2, %rax
	cmp	%rbx, %rax
	jne	wrong
	movq	$(FAULT_PAGES | 3), FAULT_PT
	pop	%rax
	add	$8, %rsp
	iretq

pic_tick:
	push	%rax
	incq	TICKS
	mov	$0x20, %al
	out	%al, $0x20
	pop	%rax
	iretq

apic_tick:
	incq	TICKS
	movl	$0, 0xb0(%r8)
spurious:
	iretq

/* Another processor: says that it is there, and rests. */
.code16
second:
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lock incw SECOND
1:	hlt
	jmp	1b
second_end:

/* --- Tables ---------------------------------------------------------------------------------- */

.balign 8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* CODE32 */
	.quad	0x00cf93000000ffff	/* DATA */
	.quad	0x00af9b000000ffff	/* CODE64 */
	.quad	0x00cf93000000ffff	/* DATA, as syscall wants it */
	.quad	0x00cffb000000ffff	/* the user's, as sysret wants them: code of 32 bits */
	.quad	0x00cff3000000ffff	/* data */
	.quad	0x00affb000000ffff	/* code */
	.quad	0x0000890000000067 | TSS << 16
	.quad	0
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	HERE(gdt)
idt_pointer:
	.word	0xfff
	.quad	IDT

/* The processor begins here, 16 bytes below the end. */
.org SIZE - 16
.code16
	ljmp	$0xf000, $ROM_OFFSET
.org SIZE
#endif
corpus_kvm_boot_end:

.balign 4
.globl corpus_kvm_boot_size
corpus_kvm_boot_size:
	.long	corpus_kvm_boot_end - corpus_kvm_boot
.section .note.GNU-stack, "", %progbits
