/* libvirt's events. libvirt notices by itself, also inside a call, when what it talks to hangs. */
#include "drivers/kvm/events.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdbool.h>

#include "drivers/definition.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/look.h"
#include "drivers/watch/remote.h"
#include "drivers/watch/source.h"

/* What does not answer for eight seconds is away. */
#define KEEPALIVE_S	2
#define KEEPALIVE_COUNT 3

struct process {
	struct kvm *kvm;
	const struct source *source;
	virConnectPtr conn;
	bool lost; /* the connection */
};

static void on_order(int watch, int fd, int events, void *data)
{
	(void)watch;
	(void)fd;
	(void)events;
	source_take_order(data);
}

/* --- libvirt -----------------------------------------------------------------------------------
 */

static int on_lifecycle(virConnectPtr conn, virDomainPtr domain, int event, int detail, void *data)
{
	const struct process *p = data;
	const char *id = connect_id_of(virDomainGetName(domain));

	(void)conn;
	(void)detail;
	if (id && event != VIR_DOMAIN_EVENT_DEFINED && event != VIR_DOMAIN_EVENT_UNDEFINED)
		source_look(p->source, id);
	return 0;
}

static void on_close(virConnectPtr conn, int reason, void *data)
{
	struct process *p = data;

	(void)conn;
	(void)reason;
	p->lost = true;
}

static void silence(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

static bool open_connection(void *data)
{
	struct process *p = data;

	p->lost = false;
	p->conn = virConnectOpen(p->kvm->uri);
	if (!p->conn)
		return false;
	virConnectSetKeepAlive(p->conn, KEEPALIVE_S, KEEPALIVE_COUNT);
	virConnectRegisterCloseCallback(p->conn, on_close, p, NULL);
	return virConnectDomainEventRegisterAny(p->conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
		       VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), p, NULL) >= 0;
}

static void disconnect(void *data)
{
	struct process *p = data;

	if (p->conn) {
		virConnectUnregisterCloseCallback(p->conn, on_close);
		virConnectClose(p->conn);
	}
	p->conn = NULL;
}

static void serve(void *data)
{
	const struct process *p = data;

	while (!p->lost && virConnectIsAlive(p->conn) == 1)
		if (virEventRunDefaultImpl() < 0)
			return;
}

static bool look(void *data, const char *id, struct driver_status *ret)
{
	const struct process *p = data;

	return look_one(p->kvm, p->conn, id, ret);
}

static int list(void *data, struct driver_status **ret, size_t *ret_count)
{
	const struct process *p = data;

	return look_all(p->kvm, NULL, ret, ret_count, NULL);
}

static const struct source_ops SOURCE = {
	.open = open_connection,
	.serve = serve,
	.close = disconnect,
	.look = look,
	.list = list,
};

static void run(void *data, struct source *source)
{
	struct process p = {.kvm = data, .source = source};

	virSetErrorFunc(NULL, silence);
	if (virEventRegisterDefaultImpl() == 0 &&
		virEventAddHandle(
			source->orders, VIR_EVENT_HANDLE_READABLE, on_order, source, NULL) >= 0)
		source_run(source, &SOURCE, &p);
}

/* --- The host's side ---------------------------------------------------------------------------
 */

static bool is_defined(void *data, const char *id)
{
	struct kvm_paths paths;

	return kvm_paths(data, id, &paths, NULL) == 0 && definition_exists(paths.definition);
}

int events_watch(struct kvm *kvm, struct remote **ret, struct err *err)
{
	static const struct remote_ops ops = {.run = run, .defined = is_defined};

	return remote_create(&ops, kvm, ret, err);
}
