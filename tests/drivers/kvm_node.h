/* A node of one's own (node.h) with a libvirtd of its own, for tests with real virtual machines or
 * with libvirt's test driver: everything it keeps, its guests and their control groups go with this
 * process, however it ends. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "node.h"

#define KVM_NODE_URI "qemu:///system"
/* libvirt's test driver inside of libvirtd: what is defined there lives while any connection to it
 * is open. */
#define KVM_NODE_TEST_URI "test+unix:///default"

/* Exits with a message when it cannot be had. */
void kvm_node_enter(void);
pid_t kvm_node_libvirtd(void);

/* Ends libvirtd by that signal and waits for it; guests run on. SIGSTOP and SIGCONT: it hangs, and
 * goes on. */
void kvm_node_signal(int signal);
/* Starts it again and waits until it answers. */
void kvm_node_start(void);

/* A folder with the small guest's kernel, initrd, cmdline and disk.qcow2, which nobody may write.
 * From the cache: it is built when it is not there, which takes some seconds. */
const char *kvm_node_image(void);

/* NULL, or what is left of a guest: its link, processes that name it, control groups. */
const char *kvm_node_leftovers(const char *id, bool defined);
