/* QEMU's guest agent. */
#include "drivers/kvm/qga.h"

#include <libvirt/libvirt-qemu.h>
#include <poll.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "drivers/kvm/connect.h"

#define PRESENT_S 3 /* for an agent that is connected, but may hang */
#define ANSWER_S  15
#define PAUSE_MIN 1 /* ms between two looks, growing */
#define PAUSE_MAX 60

static char *ask_domain(void *domain, const char *request, int timeout_s, struct err *err)
{
	char *answer = virDomainQemuAgentCommand(domain, request, timeout_s, 0);

	if (!answer)
		connect_error(err, "the guest's agent");
	return answer;
}

struct qga qga_of_domain(void *domain)
{
	return (struct qga){.ask = ask_domain, .data = domain};
}

/* Takes the request over. */
static char *ask(const struct qga *qga, char *request, int timeout_s, struct err *err)
{
	char *answer = NULL;

	if (request)
		answer = qga->ask(qga->data, request, timeout_s, err);
	else
		err_set(err, ERR_INVALID, NULL,
			"the guest's agent cannot be told what is not UTF-8");
	free(request);
	return answer;
}

int qga_can(const struct qga *qga, const char *command, struct err *err)
{
	AUTOFREE char *answer = ask(qga, qga_request("guest-info"), PRESENT_S, err);

	return answer ? qga_parse_can(answer, command, err) : -EIO;
}

int qga_tell(const struct qga *qga, const char *command, int timeout_s, struct err *err)
{
	AUTOFREE char *answer = ask(qga, qga_request(command), timeout_s, err);

	return answer ? 0 : -EIO;
}

int qga_start(const struct qga *qga, const struct qga_exec *exec, int64_t *ret_pid, struct err *err)
{
	AUTOFREE char *answer = ask(qga, qga_request_exec(exec), ANSWER_S, err);

	return answer ? qga_parse_pid(answer, ret_pid, err) : -EIO;
}

int qga_look(const struct qga *qga, int64_t pid, struct qga_status *ret, struct err *err)
{
	AUTOFREE char *answer = ask(qga, qga_request_status(pid), ANSWER_S, err);

	return answer ? qga_parse_status(answer, ret, err) : -EIO;
}

int qga_run(const struct qga *qga, const struct qga_exec *exec, int timeout_ms,
	struct qga_status *ret, struct err *err)
{
	int64_t end = clock_monotonic_ns() + timeout_ms * 1000000LL, pid;
	int pause = PAUSE_MIN;
	int r = qga_start(qga, exec, &pid, err);

	while (r == 0) {
		r = qga_look(qga, pid, ret, err);
		if (r < 0 || ret->exited)
			return r;
		qga_status_finish(ret);
		if (clock_monotonic_ns() > end)
			return err_set(err, ERR_TIMEOUT, NULL,
				"what was asked of the guest takes more than %d s",
				timeout_ms / 1000);
		poll(NULL, 0, pause);
		pause = pause * 2 > PAUSE_MAX ? PAUSE_MAX : pause * 2;
	}
	return r;
}
