/*
 * Operations of the kernel part that must be ordered (bpf/order.h), as the compiler left them in the object: what is
 * missing doesn't show on x86, and elsewhere it shows once in a million packets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <linux/bpf.h>
#include <string.h>

#include "bpf/abi.h"
#include "packetscope.skel.h"

#define CODE(size) (BPF_STX | (size) | BPF_ATOMIC)

/* The instructions of one function of the object. */
static const struct bpf_insn *function(const char *name, size_t *ret_n)
{
	size_t size;
	const uint8_t *elf = packetscope__elf_bytes(&size);
	const Elf64_Ehdr *head = (const void *)elf;
	const Elf64_Shdr *section = (const void *)(elf + head->e_shoff);

	for (unsigned i = 0; i < head->e_shnum; i++) {
		const Elf64_Sym *symbol = (const void *)(elf + section[i].sh_offset);
		const char *names = (const char *)elf + section[section[i].sh_link].sh_offset;

		for (size_t k = 0; section[i].sh_type == SHT_SYMTAB && k < section[i].sh_size / sizeof(*symbol); k++) {
			if (ELF64_ST_TYPE(symbol[k].st_info) != STT_FUNC || strcmp(names + symbol[k].st_name, name))
				continue;
			*ret_n = symbol[k].st_size / sizeof(struct bpf_insn);
			return (const void *)(elf + section[symbol[k].st_shndx].sh_offset + symbol[k].st_value);
		}
	}
	fail_msg("the object has no function %s", name);
	return NULL;
}

/* How many atomic operations on that member there are with an order, and how many without. */
static void count(const char *name, uint8_t size, size_t member, int32_t operation, unsigned ret_n[2])
{
	size_t n = 0;
	const struct bpf_insn *insn = function(name, &n);

	ret_n[0] = ret_n[1] = 0;
	for (size_t i = 0; i < n; i++)
		if (insn[i].code == CODE(size) && insn[i].off == (int16_t)member &&
			(insn[i].imm & ~BPF_FETCH) == operation)
			ret_n[!!(insn[i].imm & BPF_FETCH)]++;
}

static void a_slot_is_handed_on_in_order(void **state)
{
	unsigned n[2], other[2];

	(void)state;
	count("ps_table_publish", BPF_DW, offsetof(struct ps_bucket_tags, tags), BPF_ADD, n);
	assert_int_equal(n[0], 0);
	assert_int_equal(n[1], 2); /* live, or empty again */
	count("ps_table_publish", BPF_DW, offsetof(struct ps_bucket_tags, tags), BPF_XOR, other);
	assert_int_equal(other[0] + other[1], 0);
}

static void a_hole_is_there_before_its_mark(void **state)
{
	unsigned n[2];

	(void)state;
	count("ps_tcp_segment", BPF_W, offsetof(struct ps_conn_tcp, state), BPF_OR, n);
	assert_int_equal(n[0], 0);
	assert_true(n[1] > 0);
}

/* How many addresses are made to depend on a value that was loaded before (PS_AFTER). */
static unsigned dependencies(const char *name)
{
	size_t n = 0;
	const struct bpf_insn *insn = function(name, &n);
	unsigned found = 0;

	for (size_t i = 0; i < n; i++)
		found += insn[i].code == (BPF_ALU64 | BPF_AND | BPF_K) && insn[i].imm == 0;
	return found;
}

static void what_was_announced_is_read_after_that(void **state)
{
	(void)state;
	/* three lines of the record in the preferred slot, after its tag */
	assert_int_equal(dependencies("ps_xdp"), 3);
	assert_int_equal(dependencies("ps_tc_egress"), 3);
	assert_int_equal(dependencies("ps_tcp_segment"), 2); /* a sample of the round trip, a hole */
	assert_int_equal(dependencies("ps_tcp_step"), 1);    /* a FIN of the other side */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slot_is_handed_on_in_order),
		cmocka_unit_test(a_hole_is_there_before_its_mark),
		cmocka_unit_test(what_was_announced_is_read_after_that),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
