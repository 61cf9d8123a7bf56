/* corpus-driver-kvm. */
#include "drivers/host/host.h"
#include "drivers/kvm/kvm.h"

int main(int argc, char **argv)
{
	return driver_host_main(&kvm_driver_ops, argc, argv);
}
