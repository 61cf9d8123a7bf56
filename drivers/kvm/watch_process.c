/* The process that waits for libvirt's events. It may block: nobody waits for it. libvirt notices
 * by itself, also inside a call, when what it talks to hangs. */
#include "drivers/kvm/watch_process.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/look.h"

/* What does not answer for eight seconds is away. */
#define KEEPALIVE_S	2
#define KEEPALIVE_COUNT 3

#define CALL_S 5 /* none of these waits for a machine */

#define PAUSE_LEAST_MS 200
#define PAUSE_MOST_MS  3000

struct process {
	struct kvm *kvm;
	int reports, orders;
	virConnectPtr conn;
	bool lost; /* the connection */
};

/* --- To the host -------------------------------------------------------------------------------
 */

static void report(const struct process *p, const struct watch_report *r)
{
	if (file_write_all(p->reports, r, sizeof(*r)) < 0)
		_exit(0);
}

static void report_guest(const struct process *p, const char *id, bool asked)
{
	struct watch_report r = {.kind = WATCH_STATUS, .asked = asked};

	alarm(CALL_S);
	if (!look_one(p->kvm, p->conn, id, &r.status)) {
		r.kind = WATCH_GONE;
		memcpy(r.status.id, id, sizeof(r.status.id));
	}
	alarm(0);
	report(p, &r);
}

static void report_all(const struct process *p)
{
	AUTOFREE struct driver_status *list = NULL;
	size_t count = 0;

	report(p, &(struct watch_report){.kind = WATCH_THERE});
	if (look_all(p->kvm, NULL, &list, &count, NULL) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		report_guest(p, list[i].id, false);
}

/* --- Orders ------------------------------------------------------------------------------------
 */

static void take_order(const struct process *p)
{
	struct watch_order o;

	if (read(p->orders, &o, sizeof(o)) != sizeof(o))
		_exit(0); /* the host is gone */
	report_guest(p, o.id, true);
}

static void on_order(int watch, int fd, int events, void *data)
{
	(void)watch;
	(void)fd;
	(void)events;
	take_order(data);
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
		report_guest(p, id, false);
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

static bool open_connection(struct process *p)
{
	p->lost = false;
	p->conn = virConnectOpen(p->kvm->uri);
	if (!p->conn)
		return false;
	virConnectSetKeepAlive(p->conn, KEEPALIVE_S, KEEPALIVE_COUNT);
	virConnectRegisterCloseCallback(p->conn, on_close, p, NULL);
	return virConnectDomainEventRegisterAny(p->conn, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
		       VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), p, NULL) >= 0;
}

static void disconnect(struct process *p)
{
	if (p->conn) {
		virConnectUnregisterCloseCallback(p->conn, on_close);
		virConnectClose(p->conn);
	}
	p->conn = NULL;
}

static void serve(struct process *p)
{
	report_all(p);
	while (!p->lost && virConnectIsAlive(p->conn) == 1)
		if (virEventRunDefaultImpl() < 0)
			return;
}

/* Orders that come meanwhile are answered: nothing is known. */
static void pause_ms(const struct process *p, int ms)
{
	struct pollfd f = {.fd = p->orders, .events = POLLIN};

	while (poll(&f, 1, ms) == 1)
		take_order(p);
}

void watch_process_run(struct kvm *kvm, int reports, int orders)
{
	struct process p = {.kvm = kvm, .reports = reports, .orders = orders};
	int pause = PAUSE_LEAST_MS;

	signal(SIGALRM, SIG_DFL);
	virSetErrorFunc(NULL, silence);
	if (virEventRegisterDefaultImpl() < 0 ||
		virEventAddHandle(orders, VIR_EVENT_HANDLE_READABLE, on_order, &p, NULL) < 0)
		_exit(1);
	for (;;) {
		bool opened;

		alarm(CALL_S);
		opened = open_connection(&p);
		alarm(0);
		if (opened) {
			pause = PAUSE_LEAST_MS;
			serve(&p);
		}
		disconnect(&p);
		report(&p, &(struct watch_report){.kind = WATCH_AWAY});
		pause_ms(&p, pause);
		pause = pause * 2 < PAUSE_MOST_MS ? pause * 2 : PAUSE_MOST_MS;
	}
}
