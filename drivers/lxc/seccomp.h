/* The system calls that guests may not make, for liblxc; used inside drivers/lxc only. */
#pragma once

/* A profile in liblxc's format (lxc.container.conf(5), "seccomp"). */
extern const char LXC_SECCOMP_PROFILE[];
