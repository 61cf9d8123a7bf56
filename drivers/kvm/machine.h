/* What a running machine is made of, by libvirt's XML of it; used inside drivers/kvm only. */
#pragma once

#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>

struct err;

struct machine {
	bool accelerated;	 /* by KVM, not emulated */
	bool agent;		 /* a guest agent is at work in it */
	uint64_t memory_max_kib; /* up to which memory can be plugged; 0: none can */
	unsigned slots_free;
	char disk[16]; /* target of the disk at `path`, "vda"; empty: it has no such */
};

/* Pure. `path`: of the guest's disk. */
int machine_read(const char *xml, const char *path, struct machine *ret, struct err *err);

int machine_look(virDomainPtr domain, const char *path, struct machine *ret, struct err *err);
