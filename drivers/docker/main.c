/* corpus-driver-docker. */
#include "drivers/docker/docker.h"
#include "drivers/host/host.h"

int main(int argc, char **argv)
{
	return driver_host_main(&docker_driver_ops, argc, argv);
}
