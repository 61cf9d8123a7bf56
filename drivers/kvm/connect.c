/* Connections to libvirt. */
#include "drivers/kvm/connect.h"

#undef connect_error /* as the analyzer sees it: connect.h */

#include <errno.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"

/* --- Endpoints ------------------------------------------------------------------------------- */

#define DEFAULT_URI "qemu:///system"

static const struct {
	const char *scheme;
	enum kvm_type type;
} SCHEMES[] = {
	{"qemu", KVM_QEMU},
	{"xen", KVM_XEN},
	{"test", KVM_TEST},
};

static bool has_scheme(const char *uri, const char *scheme)
{
	size_t n = strlen(scheme);

	return strncmp(uri, scheme, n) == 0 && (uri[n] == ':' || uri[n] == '+');
}

int connect_choose(const char *endpoint, char **ret_uri, enum kvm_type *ret_type, struct err *err)
{
	static const char local_test[] = "test:///";
	const char *uri = endpoint && endpoint[0] ? endpoint : DEFAULT_URI;

	for (size_t i = 0; i < ARRAY_SIZE(SCHEMES); i++) {
		if (!has_scheme(uri, SCHEMES[i].scheme))
			continue;
		/* What lives in one process would be gone with each call. */
		if (strncmp(uri, local_test, strlen(local_test)) == 0) {
			if (asprintf(ret_uri, "test+unix:///%s", uri + strlen(local_test)) < 0)
				*ret_uri = NULL;
		} else {
			*ret_uri = strdup(uri);
		}
		*ret_type = SCHEMES[i].type;
		return *ret_uri ? 0 : err_errno(err, ENOMEM, "no memory for a driver");
	}
	return err_set(err, ERR_INVALID, "endpoint",
		"the KVM driver has no machines at %s: expected a URI like qemu:///system or "
		"xen:///system",
		uri);
}

/* --- Errors ---------------------------------------------------------------------------------- */

static const struct {
	int number;
	enum err_code code;
} CODES[] = {
	{VIR_ERR_NO_CONNECT, ERR_UNAVAILABLE},
	{VIR_ERR_RPC, ERR_UNAVAILABLE},
	{VIR_ERR_SYSTEM_ERROR, ERR_DRIVER},
	{VIR_ERR_AUTH_FAILED, ERR_UNAVAILABLE},
	{VIR_ERR_NO_DOMAIN, ERR_NOT_FOUND},
	{VIR_ERR_OPERATION_INVALID, ERR_ILLEGAL_STATE},
	{VIR_ERR_OPERATION_TIMEOUT, ERR_TIMEOUT},
	{VIR_ERR_AGENT_UNRESPONSIVE, ERR_UNAVAILABLE},
	{VIR_ERR_NO_SUPPORT, ERR_UNSUPPORTED},
	{VIR_ERR_OPERATION_UNSUPPORTED, ERR_UNSUPPORTED},
	{VIR_ERR_ARGUMENT_UNSUPPORTED, ERR_UNSUPPORTED},
	{VIR_ERR_NO_MEMORY, ERR_NO_ROOM},
	{VIR_ERR_RESOURCE_BUSY, ERR_CONFLICT},
};

/* Of the connection, not of what was asked: the daemon went away, or was never there. */
static bool from_transport(const virError *e)
{
	static const int domains[] = {VIR_FROM_RPC, VIR_FROM_REMOTE, VIR_FROM_STREAMS};

	for (size_t i = 0; i < ARRAY_SIZE(domains); i++)
		if (e->domain == domains[i])
			return e->code == VIR_ERR_SYSTEM_ERROR || e->code == VIR_ERR_INTERNAL_ERROR;
	return false;
}

static enum err_code code_of(const virError *e)
{
	if (from_transport(e))
		return ERR_UNAVAILABLE;
	for (size_t i = 0; i < ARRAY_SIZE(CODES); i++)
		if (CODES[i].number == e->code)
			return CODES[i].code;
	return ERR_DRIVER;
}

int connect_errnum(void)
{
	const virError *e = virGetLastError();

	return e ? e->code : VIR_ERR_OK;
}

int connect_error(struct err *err, const char *fmt, ...)
{
	const virError *e = virGetLastError();
	enum err_code code = e ? code_of(e) : ERR_DRIVER;
	char what[ERR_MESSAGE_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	return err_set(err, code, NULL, "%s: %s", what,
		e && e->message ? e->message : "libvirt does not say why");
}

/* --- Opening --------------------------------------------------------------------------------- */

/* libvirt opens a connection for as long as it takes. The one that waits may give up; whoever comes
 * last clears up. */
struct opening {
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	bool done, given_up;
	char *uri;
	virConnectPtr conn;
	struct err error;
};

static void opening_free(struct opening *o)
{
	if (o->conn)
		virConnectClose(o->conn);
	pthread_cond_destroy(&o->done_cond);
	pthread_mutex_destroy(&o->lock);
	free(o->uri);
	free(o);
}

static void silence(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

static void *open_in_thread(void *data)
{
	struct opening *o = data;
	virConnectPtr conn = virConnectOpen(o->uri);
	bool alone;

	pthread_mutex_lock(&o->lock);
	o->conn = conn;
	if (!conn)
		connect_error(&o->error, "cannot reach libvirt at %s", o->uri);
	o->done = true;
	alone = o->given_up;
	pthread_cond_signal(&o->done_cond);
	pthread_mutex_unlock(&o->lock);
	if (alone)
		opening_free(o);
	return NULL;
}

static struct opening *opening_create(const char *uri)
{
	struct opening *o = calloc(1, sizeof(*o));
	pthread_condattr_t attr;

	if (!o || !(o->uri = strdup(uri))) {
		free(o);
		return NULL;
	}
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->done_cond, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&o->lock, NULL);
	return o;
}

static struct timespec in_ms(uint64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += (time_t)(ms / 1000);
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* True when it came to an end. */
static bool opening_wait(struct opening *o, uint64_t ms)
{
	struct timespec end = in_ms(ms);
	bool done;

	pthread_mutex_lock(&o->lock);
	while (!o->done && pthread_cond_timedwait(&o->done_cond, &o->lock, &end) == 0)
		;
	done = o->done;
	o->given_up = !done;
	pthread_mutex_unlock(&o->lock);
	return done;
}

int connect_within(const struct kvm *kvm, uint64_t ms, virConnectPtr *ret, struct err *err)
{
	struct opening *o = opening_create(kvm->uri);
	pthread_t thread;
	int r = 0;

	virSetErrorFunc(NULL, silence);
	/* A daemon that goes while it is talked to is an error, not our end. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (!o)
		return err_errno(err, ENOMEM, "no memory for a connection");
	r = pthread_create(&thread, NULL, open_in_thread, o);
	if (r != 0) {
		opening_free(o);
		return err_errno(err, r, "cannot start a thread");
	}
	pthread_detach(thread);
	if (!opening_wait(o, ms))
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"libvirt at %s does not answer: is its daemon hung?", kvm->uri);
	*ret = TAKE_PTR(o->conn);
	if (!*ret) {
		if (err)
			*err = o->error;
		r = err_errnum(o->error.code);
	}
	opening_free(o);
	return r;
}

int kvm_connect(const struct kvm *kvm, virConnectPtr *ret, struct err *err)
{
	return connect_within(kvm, CONNECT_MS, ret, err);
}

/* --- Which are ours -------------------------------------------------------------------------- */

/* Version 8 of RFC 9562 (what is in it is ours to say): a constant, and the guest's id. */
#define UUID_PREFIX "6b1d9c40-52e7-8a3f-b0c5-"

const char *connect_name(char buf[static KVM_NAME_MAX], const char *id)
{
	snprintf(buf, KVM_NAME_MAX, KVM_NAME_PREFIX "%s", id);
	return buf;
}

const char *connect_uuid(char buf[static VIR_UUID_STRING_BUFLEN], const char *id)
{
	snprintf(buf, VIR_UUID_STRING_BUFLEN, UUID_PREFIX "%s", id);
	return buf;
}

const char *connect_id_of(const char *name)
{
	const char *id = name + strlen(KVM_NAME_PREFIX);

	if (strncmp(name, KVM_NAME_PREFIX, strlen(KVM_NAME_PREFIX)) != 0)
		return NULL;
	return name_check_id(id, GUEST_ID_LEN, "id", NULL) == 0 ? id : NULL;
}

/* Libvirt hands metadata out as it was given, or written anew: the id is looked for in it. */
static bool has_our_metadata(virDomainPtr domain, const char *id)
{
	AUTOFREE char *text = virDomainGetMetadata(
		domain, VIR_DOMAIN_METADATA_ELEMENT, KVM_NAMESPACE, VIR_DOMAIN_AFFECT_CURRENT);

	return text && strstr(text, id);
}

static bool is_ours(virDomainPtr domain, const char *id)
{
	char name[KVM_NAME_MAX], uuid[VIR_UUID_STRING_BUFLEN];
	char theirs[VIR_UUID_STRING_BUFLEN];

	return virDomainGetUUIDString(domain, theirs) == 0 &&
	       strcmp(theirs, connect_uuid(uuid, id)) == 0 &&
	       strcmp(virDomainGetName(domain), connect_name(name, id)) == 0 &&
	       has_our_metadata(domain, id);
}

static int foreign(virDomainPtr domain, struct err *err)
{
	/* The connection may have gone while it was asked. */
	if (connect_errnum() != VIR_ERR_OK && connect_errnum() != VIR_ERR_NO_DOMAIN_METADATA)
		return connect_error(err, "cannot look at domain %s", virDomainGetName(domain));
	return err_set(err, ERR_CONFLICT, NULL,
		"libvirt's domain %s is not ours but has the name or uuid of this guest: rename or "
		"undefine it",
		virDomainGetName(domain));
}

int kvm_domain(virConnectPtr conn, const char *id, virDomainPtr *ret, struct err *err)
{
	char name[KVM_NAME_MAX], uuid[VIR_UUID_STRING_BUFLEN];
	AUTODOMAIN virDomainPtr domain = virDomainLookupByName(conn, connect_name(name, id));

	if (!domain && connect_errnum() == VIR_ERR_NO_DOMAIN)
		domain = virDomainLookupByUUIDString(conn, connect_uuid(uuid, id));
	if (!domain)
		return connect_errnum() == VIR_ERR_NO_DOMAIN
			       ? 0
			       : connect_error(err, "cannot look for domain %s", name);
	virResetLastError();
	if (!is_ours(domain, id))
		return foreign(domain, err);
	*ret = TAKE_PTR(domain);
	return 0;
}
