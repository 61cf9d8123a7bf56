/* corpus-driver-lxc. */
#include "drivers/host/host.h"
#include "drivers/lxc/lxc.h"

int main(int argc, char **argv)
{
	return driver_host_main(&lxc_driver_ops, argc, argv);
}
