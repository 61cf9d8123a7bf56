/* What is denied is what reaches past the guest into the machine: modules, other kernels, files by
 * handle (the way out of a container's root by CVE-2014-3519), raw ports, swap, process accounting,
 * and the parts of the kernel with a history of holes that guests have no business with; and new
 * subvolumes of btrfs, which would not count against the guest's size. */
#include "drivers/lxc/seccomp.h"

const char LXC_SECCOMP_PROFILE[] = "2\n"
				   "denylist\n"
				   "[all]\n"
				   "kexec_load errno 1\n"
				   "kexec_file_load errno 1\n"
				   "open_by_handle_at errno 1\n"
				   "init_module errno 1\n"
				   "finit_module errno 1\n"
				   "delete_module errno 1\n"
				   "acct errno 1\n"
				   "swapon errno 1\n"
				   "swapoff errno 1\n"
				   "iopl errno 1\n"
				   "ioperm errno 1\n"
				   "userfaultfd errno 1\n"
				   "perf_event_open errno 1\n"
				   "lookup_dcookie errno 1\n"
				   /* SUBVOL_CREATE, SUBVOL_CREATE_V2, SNAP_CREATE, SNAP_CREATE_V2;
				    * the kernel looks at the lower 32 bits alone. */
				   "ioctl errno 1 [1,0x5000940e,SCMP_CMP_MASKED_EQ,0xffffffff]\n"
				   "ioctl errno 1 [1,0x50009418,SCMP_CMP_MASKED_EQ,0xffffffff]\n"
				   "ioctl errno 1 [1,0x50009401,SCMP_CMP_MASKED_EQ,0xffffffff]\n"
				   "ioctl errno 1 [1,0x50009417,SCMP_CMP_MASKED_EQ,0xffffffff]\n";
