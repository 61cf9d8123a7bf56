/* corpus-driver-fake. */
#include <fcntl.h>

#include "drivers/fake/fake.h"
#include "drivers/host/host.h"
#include "drivers/protocol/wire.h"

int main(int argc, char **argv)
{
	fake_set_wire(fcntl(WIRE_FD, F_DUPFD_CLOEXEC, 10));
	return driver_host_main(&fake_driver_ops, argc, argv);
}
