/* Connections to libvirt, what its errors are to us, and which of its domains are ours; used inside
 * drivers/kvm only. The host never opens one: each call does, in its own process, and the watcher
 * has one. */
#pragma once

#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "drivers/kvm/instance.h"

struct err;

#define KVM_NAMESPACE	"https://corpus.dev/xmlns/libvirt/1"
#define KVM_NAME_PREFIX "corpus-"
#define KVM_NAME_MAX	(sizeof(KVM_NAME_PREFIX) + GUEST_ID_LEN)

static inline void connect_closep(virConnectPtr *conn)
{
	if (*conn)
		virConnectClose(*conn);
}

static inline void connect_domainp(virDomainPtr *domain)
{
	if (*domain)
		virDomainFree(*domain);
}

#define AUTOCONN   CLEANUP(connect_closep)
#define AUTODOMAIN CLEANUP(connect_domainp)

/* The endpoint as libvirt is to be asked for it, and what answers there. ERR_INVALID for one whose
 * machines the driver does not know. `ret_uri` is allocated. */
int connect_choose(const char *endpoint, char **ret_uri, enum kvm_type *ret_type, struct err *err);

/* Opens a connection. ERR_UNAVAILABLE when nothing answers there, also when something hangs: then
 * after CONNECT_MS, or what is given. */
#define CONNECT_MS 4000
int kvm_connect(const struct kvm *kvm, virConnectPtr *ret, struct err *err);
int connect_within(const struct kvm *kvm, uint64_t ms, virConnectPtr *ret, struct err *err);

/* What libvirt complained of last in this thread, as an error of ours, "cannot …: its words". */
int connect_error(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#ifdef __clang_analyzer__ /* as err_set: it never returns success */
#define connect_error(...) (connect_error(__VA_ARGS__), -1)
#endif
/* The number of that error, VIR_ERR_OK for none. */
int connect_errnum(void);

/* A guest's domain by these. */
const char *connect_name(char buf[static KVM_NAME_MAX], const char *id);
const char *connect_uuid(char buf[static VIR_UUID_STRING_BUFLEN], const char *id);

/* The id in a name of ours, or NULL. It says nothing of whether the domain is. */
const char *connect_id_of(const char *name);

/* The domain of a guest; *ret stays NULL when libvirt has none. ERR_CONFLICT when another one, that
 * is not ours, has its name or its uuid: ours agree in name, uuid and metadata. */
int kvm_domain(virConnectPtr conn, const char *id, virDomainPtr *ret, struct err *err);
