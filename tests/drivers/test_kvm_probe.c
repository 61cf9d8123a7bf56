/* What the KVM driver makes of what libvirt says of itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "drivers/kvm/probe.h"

#define CAPABILITIES(guests) "<capabilities><host><cpu/></host>" guests "</capabilities>"
#define GUEST(arch, domains)                                                                       \
	"<guest><os_type>hvm</os_type><arch name='" arch "'><wordsize>64</wordsize>" domains       \
	"</arch></guest>"

static void kvm_is_offered_where_libvirt_says_so_of_our_machines(void **state)
{
	static const struct {
		const char *capabilities;
		bool offered;
	} CASES[] = {
		{CAPABILITIES(GUEST("i686", "<domain type='qemu'/><domain type='kvm'/>")
				 GUEST("x86_64", "<domain type='qemu'/><domain type='kvm'/>")),
			true},
		{CAPABILITIES(GUEST("x86_64", "<domain type='qemu'/>")), false},
		{CAPABILITIES(GUEST("i686", "<domain type='kvm'/>")
				 GUEST("x86_64", "<domain type='qemu'/>")),
			false},
		{CAPABILITIES(""), false},
		{"<capabilities><domain type='kvm'/></capabilities>", false},
		{"kvm", false},
		{"", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++)
		assert_int_equal(probe_offers_kvm(CASES[i].capabilities), CASES[i].offered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kvm_is_offered_where_libvirt_says_so_of_our_machines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
